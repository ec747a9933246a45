/** Values from other programs in the vault: all that are to be stored, or none, each with its row. */
import { describe, expect, test } from "vitest"
import type { Found } from "../../../vault/vault.ts"
import { OWNER, TestMethods } from "../../helpers/vault-methods.ts"
import { SUBJECT, TestVault, valueOf } from "../../helpers/vault.ts"

type Entry = readonly [name: string, value: string, otherwise?: "replace" | "keep"]

function offer(at: TestMethods, preview: boolean, ...entries: Entry[]): unknown {
  const secrets = entries.map(([name, value, otherwise]) => ({ name, bytes: value.length, otherwise }))
  const message = `${JSON.stringify({ secrets })}\n${entries.map(([, value]) => value).join("")}`
  return at.call(OWNER, "import.values", { from: 0, preview }, [Buffer.from(message)])
}

const row = (name: string, found: Found, stored: boolean): object => ({ name, found, stored })
const rows = (at: TestMethods): string[] =>
  [...at.vault.audit.rows()].map(({ event, outcome, detail }) => `${event} ${outcome} ${detail}`)

describe("values that come in", () => {
  test("are shown without being stored, then stored as was said for each", () => {
    using at = new TestMethods()
    at.put("same", "one")
    at.put("kept", "old")
    at.put("replaced", "old")
    const entries: Entry[] = [
      ["fresh", "f"],
      ["same", "one"],
      ["kept", "new", "keep"],
      ["replaced", "new", "replace"],
    ]
    expect(offer(at, true, ...entries)).toEqual([
      ...[row("fresh", "new", false), row("same", "same", false)],
      ...[row("kept", "other", false), row("replaced", "other", false)],
    ])
    expect(at.vault.find("fresh")).toBeUndefined()
    offer(at, false, ...entries)
    expect(["fresh", "same", "kept", "replaced"].map((name) => valueOf(at.vault, name))).toEqual([
      ...["f", "one", "old", "new"],
    ])
    expect(at.vault.find("same")?.metadata.latest).toBe(1)
    expect(rows(at).filter((each) => each.startsWith("import done"))).toHaveLength(8)
    expect(rows(at).filter((each) => each.includes('"stores":true'))).toHaveLength(2)
    expect(at.vault.verifyAudit().rows).toBeGreaterThan(0)
  })

  test("another value of which nothing was said stops all of them", () => {
    using at = new TestMethods()
    at.put("there", "old")
    expect(() => offer(at, false, ["first", "1"], ["there", "new"])).toThrow("changed in the vault meanwhile")
    expect(at.vault.find("first")).toBeUndefined()
    expect(valueOf(at.vault, "there")).toBe("old")
  })

  test("a name that can't be, or is clawfs' own, an empty value and a wrong list stop all of them", () => {
    using at = new TestMethods()
    for (const name of ["Bad", "clawfs.manifest-key", `tree-${"0".repeat(32)}`])
      expect(() => offer(at, false, ["first", "1"], [name, "2"])).toThrow(/name/)
    expect(() => offer(at, false, ["first", "1"], ["empty", ""])).toThrow("empty")
    expect(() => offer(at, false, ["first", "1"], ["first", "2"])).toThrow("no list of values")
    for (const text of ["", "{}\n", '{"secrets":[{"name":"a","bytes":5}]}\nab'])
      expect(() => at.call(OWNER, "import.values", { from: 0, preview: false }, [Buffer.from(text)])).toThrow(
        "no list of values",
      )
    expect(at.vault.list()).toEqual([])
    expect(rows(at).filter((each) => each.startsWith("import invalid"))).toHaveLength(4)
  })

  test("nobody learns by it whether a decoy, or what has expired, has a value", () => {
    using at = new TestMethods()
    at.put("decoy", "x", { canary: true })
    at.put("over", "x", { expires: 1 })
    expect(offer(at, true, ["decoy", "x"], ["over", "x"])).toEqual([
      ...[row("decoy", "other", false), row("over", "other", false)],
    ])
  })

  test("a kill before the commit stores none", () => {
    using place = new TestVault()
    const vault = place.open(undefined, (name) => {
      if (name === "import: before the commit") throw new Error("killed")
    })
    const feed = (take: (incoming: { name: string; value: Buffer }) => void): void => {
      take({ name: "a", value: Buffer.from("1") })
      take({ name: "b", value: Buffer.from("2") })
    }
    expect(() => vault.takeIn(SUBJECT, feed, () => true)).toThrow("killed")
    place.close()
    expect(place.open().list()).toEqual([])
  })
})
