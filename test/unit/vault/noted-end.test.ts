/** A whole vault.db that was put back within a root key's time: noticed by what the kernel keeps of it. */
import { copyFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { describe } from "../../../clawfs/core/fault.ts"
import { Ring, addKey, dropKey, readKey } from "../../../clawfs/sys/keyctl.ts"
import { NotedEnd } from "../../../vault/noted-end.ts"
import type { Vault } from "../../../vault/vault.ts"
import { skipIf } from "../../helpers/requirements.ts"
import { SUBJECT, TestVault, valueOf } from "../../helpers/vault.ts"

/** Many containers offer none. Other runs of this test have the same keyring. */
function requireKeyring(): string | undefined {
  const name = `clawfs:test:${process.pid}`
  try {
    addKey(name, Buffer.from("x"), Ring.USER)
    const isThere = readKey(name, Buffer.alloc(1), Ring.USER)
    dropKey(name, Ring.USER)
    return isThere ? undefined : "the kernel keeps nothing in a user's keyring"
  } catch (thrown) {
    return `the kernel offers no keyring: ${describe(thrown)}`
  }
}

let place: TestVault
let uuid: string
beforeEach((context) => {
  skipIf(context, requireKeyring())
  place = new TestVault()
  uuid = opened((vault) => vault.keys.uuid.toString("hex"))
})
afterEach(() => {
  if (requireKeyring() !== undefined) return
  dropKey(`clawfs:vault-end:${uuid}`, Ring.USER)
  place[Symbol.dispose]()
})

function opened<T>(work: (vault: Vault, noted: NotedEnd) => T): T {
  const vault = place.open()
  try {
    return work(vault, new NotedEnd(vault.audit))
  } finally {
    place.close()
  }
}
const put = (vault: Vault, value: string): number => vault.put(SUBJECT, "a", Buffer.from(value))
const at = (name: string): string => join(place.directory, name)

test("an older state is behind, also one that went on further than what was noted; adopt takes it", () => {
  opened((vault, noted) => {
    expect(noted.behind(vault.keys)).toBe(0)
    put(vault, "1")
    expect(noted.note(vault.keys)).toBe(true)
  })
  copyFileSync(at("vault.db"), at("older"))
  opened((vault, noted) => {
    expect(noted.behind(vault.keys)).toBe(0)
    // Rows behind the noted end are those that a kill came before.
    put(vault, "2")
    expect(noted.behind(vault.keys)).toBe(0)
    put(vault, "3")
    noted.note(vault.keys)
    noted.requireNewest(vault.keys)
  })
  copyFileSync(at("older"), at("vault.db"))
  opened((vault, noted) => {
    expect(noted.behind(vault.keys)).toBe(2)
    expect(() => noted.requireNewest(vault.keys)).toThrow("its audit lacks 2 rows or more")
    for (const value of ["x", "y", "z"]) put(vault, value)
    expect(noted.behind(vault.keys)).toBe(1)
    vault.adopt(SUBJECT, undefined, true)
    noted.note(vault.keys)
    noted.requireNewest(vault.keys)
    expect(valueOf(vault, "a")).toBe("z")
  })
  opened((vault, noted) => {
    noted.requireNewest(vault.keys)
    expect(() => vault.adopt(SUBJECT)).toThrow("nothing to adopt")
  })
})

test("a root key that was made anew, and rows that were pruned, don't make it older", () => {
  opened((vault, noted) => {
    put(vault, "1")
    noted.note(vault.keys)
    vault.rotate(SUBJECT)
    noted.requireNewest(vault.keys)
    vault.pruneAudit(SUBJECT, Date.now() + 1)
    noted.requireNewest(vault.keys)
    expect(valueOf(vault, "a")).toBe("1")
  })
})
