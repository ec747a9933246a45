/** Identity files: the checksum, the change that is whole or not at all, backups, and what comes back from them. */
import { createHash } from "node:crypto"
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { identityJsonSchema } from "../../../schema/identity.ts"
import { checksumOf, completed, identityIn, textOf } from "../../../clawfs/identity/identity.ts"
import {
  checkIdentity,
  createIdentity,
  newIdentityFiles,
  readIdentity,
  restoreIdentity,
  updateIdentity,
} from "../../../clawfs/identity/identity-file.ts"
import { repository } from "../../helpers/programs.ts"

const DRAFT = {
  agent_id: "core-dev-agent",
  version: "1.0.0",
  created_at: "2026-01-02T03:04:05Z",
  updated_at: "2026-01-02T03:04:05Z",
}
const START = Date.parse(DRAFT.updated_at)
const HOUR = 3600 * 1000

let base = ""
let agent = ""
const file = (...names: string[]): string => join(agent, ...names)

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "clawfs-identity-"))
  agent = join(base, "core-dev-agent")
  mkdirSync(agent)
})
afterEach(() => rmSync(base, { recursive: true, force: true }))

test("schema/identity.schema.json is what the program checks", () => {
  const published = readFileSync(join(repository, "schema", "identity.schema.json"), "utf8")
  expect(JSON.parse(published)).toEqual(identityJsonSchema())
})

describe("the checksum", () => {
  test("is the SHA-256 of the canonical JSON without itself", () => {
    const text =
      '{"agent_id":"a","created_at":"2026-01-02T03:04:05Z","history":{"completed_tasks":[],"failed_tasks":[],' +
      '"success_rate":0,"total_executions":0},"memory":{"heuristics":[],"learned_patterns":[]},"performance":' +
      '{"avg_execution_time_ms":0,"last_benchmark":null,"peak_memory_mb":0},"state":{"current_phase":null,' +
      '"current_task":null,"last_checkpoint":null,"status":"idle"},"updated_at":"2026-01-02T03:04:05Z","version":"1.0.0"}'
    const want = `sha256:${createHash("sha256").update(text).digest("hex")}`
    expect(completed({ ...DRAFT, agent_id: "a" }).checksum).toBe(want)
  })

  test("notices a change of any member, also of one that the schema does not know", () => {
    const identity = completed({ ...DRAFT, notes: { deep: [1, 2] } })
    const text = textOf(identity)
    expect(identityIn(Buffer.from(text))).toEqual(identity)
    // Whatever the order and the white space.
    const turned = Object.fromEntries(Object.entries(identity).reverse())
    expect(identityIn(Buffer.from(JSON.stringify(turned)))).toEqual(identity)
    for (const [from, to] of [
      ['"1.0.0"', '"1.0.1"'],
      ['"idle"', '"error"'],
      ["2\n", "3\n"],
      ['"deep"', '"deeq"'],
    ] as const)
      expect(identityIn(Buffer.from(text.replace(from, to)))).toBe("does not match its checksum")
  })

  test.each([
    ["no JSON", "{"],
    ["bytes that are no text", Buffer.from('{"a":"\xff"}', "latin1")],
    ["another shape", "[]"],
    ["a checksum that is none", JSON.stringify({ ...completed(DRAFT), checksum: "md5:0" })],
    [
      "a nest that has no canonical form",
      JSON.stringify({ ...completed(DRAFT), x: 0 }).replace(
        '"x":0',
        `"x":${"[".repeat(9999)}${"]".repeat(9999)}`,
      ),
    ],
  ])("is not compared for %s", (_what, text) => {
    expect(typeof identityIn(Buffer.from(text))).toBe("string")
  })
})

describe("an identity", () => {
  test("is made once; the same again is no conflict, another is", () => {
    expect(createIdentity(agent, DRAFT)).toBe(true)
    const bytes = readFileSync(file("identity.json"))
    const made = newIdentityFiles(DRAFT)
    expect(made.map(({ path }) => readFileSync(file(...path)))).toEqual(made.map(({ bytes }) => bytes))
    expect(createIdentity(agent, DRAFT)).toBe(false)
    expect(() => createIdentity(agent, { ...DRAFT, version: "2.0.0" })).toThrow("is there already")
    expect(readFileSync(file("identity.json"))).toEqual(bytes)
    expect(readIdentity(agent).checksum).toBe(checksumOf(completed(DRAFT)))
    // What is written depends on the draft alone: two runs of a migration give the same files.
    expect(readdirSync(file("backups"))).toEqual(["identity-20260102T030405Z.json"])
  })

  test("must be that of its directory, and fit the schema", () => {
    expect(() => createIdentity(agent, { ...DRAFT, agent_id: "other" })).toThrow("does not belong")
    expect(() => createIdentity(agent, { ...DRAFT, state: { status: "asleep" } })).toThrow("state.status")
    expect(() => createIdentity(join(base, "none"), DRAFT)).toThrow("there is no directory")
    expect(readdirSync(agent)).toEqual([])
  })

  test("keeps what a change replaced, its mode, and a backup every six hours, thirty at most", () => {
    createIdentity(agent, DRAFT)
    chmodSync(file("identity.json"), 0o604)
    for (let hour = 3; hour <= 240; hour += 3)
      updateIdentity(
        agent,
        (old) => ({ ...old, history: { ...old.history, total_executions: hour } }),
        START + hour * HOUR,
      )
    expect(readIdentity(agent)).toMatchObject({
      updated_at: "2026-01-12T03:04:05.000Z",
      history: { total_executions: 240 },
    })
    expect(lstatSync(file("identity.json")).mode & 0o777).toBe(0o604)
    const names = readdirSync(file("backups")).sort()
    expect(names).toHaveLength(31)
    expect(names.at(-1)).toBe("identity-previous.json")
    expect(names.at(-2)).toBe("identity-20260112T030405Z.json")
    expect(names[0]).toBe("identity-20260104T210405Z.json")
    const { backups } = checkIdentity(agent)
    expect(backups.map(({ problem }) => problem)).toEqual(names.map(() => undefined))
    expect(backups[0]?.name).toBe("backups/identity-20260112T030405Z.json")
    expect(backups[1]).toMatchObject({
      name: "backups/identity-previous.json",
      identity: { history: { total_executions: 237 } },
    })
  })

  test("that is damaged is neither read nor changed, and comes back", () => {
    createIdentity(agent, DRAFT)
    updateIdentity(agent, (old) => ({ ...old, version: "1.1.0" }), START + HOUR)
    updateIdentity(agent, (old) => ({ ...old, version: "1.2.0" }), START + 2 * HOUR)
    const damaged = readFileSync(file("identity.json"), "utf8").replace("1.2.0", "6.6.6")
    writeFileSync(file("identity.json"), damaged)
    expect(() => readIdentity(agent)).toThrow("does not match its checksum")
    expect(() => updateIdentity(agent, (old) => old)).toThrow("does not match its checksum")
    expect(readFileSync(file("identity.json"), "utf8")).toBe(damaged)
    // The newest backup is damaged too.
    truncateSync(file("backups", "identity-previous.json"), 100)
    const restored = restoreIdentity(agent, undefined, START + 3 * HOUR)
    expect(restored.name).toBe("backups/identity-20260102T030405Z.json")
    expect(readIdentity(agent).version).toBe("1.0.0")
    expect(readFileSync(file("backups", "identity-replaced-20260102T060405Z.json"), "utf8")).toBe(damaged)
    expect(() => restoreIdentity(agent, "identity-previous.json")).toThrow("is no JSON")
    expect(() => restoreIdentity(agent, "../../etc/passwd")).toThrow("has no backup")
  })

  test("that is missing comes back; without a whole backup nothing is changed", () => {
    createIdentity(agent, DRAFT)
    rmSync(file("identity.json"))
    expect(checkIdentity(agent).file.problem).toBe("is missing")
    restoreIdentity(agent)
    expect(readIdentity(agent).version).toBe("1.0.0")
    rmSync(file("backups"), { recursive: true })
    writeFileSync(file("identity.json"), "{}")
    expect(() => restoreIdentity(agent)).toThrow("no backup of its identity that is whole")
    expect(readFileSync(file("identity.json"), "utf8")).toBe("{}")
  })

  test("of another agent is none, wherever it was copied from", () => {
    const other = join(base, "other")
    mkdirSync(other)
    createIdentity(agent, DRAFT)
    writeFileSync(join(other, "identity.json"), readFileSync(file("identity.json")))
    expect(() => readIdentity(other)).toThrow('is the identity of "core-dev-agent"')
  })

  test("is not written or read through a link that the agent has put there", () => {
    const outside = join(base, "outside")
    mkdirSync(outside)
    writeFileSync(join(outside, "secret"), "secret")
    symlinkSync(outside, file("backups"))
    expect(() => createIdentity(agent, DRAFT)).toThrow("is no directory of this agent's")
    expect(readdirSync(outside)).toEqual(["secret"])
    rmSync(file("backups"))
    createIdentity(agent, DRAFT)
    rmSync(file("identity.json"))
    symlinkSync(join(outside, "secret"), file("identity.json"))
    expect(() => readIdentity(agent)).toThrow()
    restoreIdentity(agent)
    expect(lstatSync(file("identity.json")).isFile()).toBe(true)
    expect(readFileSync(join(outside, "secret"), "utf8")).toBe("secret")
    expect(existsSync(join(outside, "identity.json"))).toBe(false)
  })
})
