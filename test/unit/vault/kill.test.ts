/**
 * What a kill leaves behind at each named step. SIGKILL changes nothing that was written: what the next process finds are
 * the files as they are at that moment, so the directory is copied there and opened as after the kill.
 */
import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { unlock } from "../../../vault/unlock.ts"
import { VaultDatabase } from "../../../vault/database.ts"
import { Vault } from "../../../vault/vault.ts"
import { Random } from "../../model/random.ts"
import { KEY, SUBJECT, TestVault, valueOf } from "../../helpers/vault.ts"

/** The newest acknowledged value of each secret, or what it was before an operation that is under way. */
type Model = Map<string, string | undefined>

function checkCopy(directory: string, before: Model, after: Model, step: string): void {
  using db = VaultDatabase.open(directory)
  using vault = new Vault(db, unlock(db, { person: KEY, inKernel: false }).keys)
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const entry = vault.find(name)
    const value = entry?.metadata.removed === 0 ? valueOf(vault, name) : undefined
    expect([before.get(name), after.get(name)], `${name} at ${step}`).toContain(value)
  }
  vault.verifyAudit()
  vault.protectors()
  // It goes on.
  vault.put(SUBJECT, "after-the-kill", Buffer.from("x"))
}

test("put, rm, destroy, rotate and protector changes are done or not done, at every step", () => {
  const random = new Random(20261121)
  using place = new TestVault()
  const model: Model = new Map()
  let planned: Model = model
  const seen = new Map<string, number>()
  let copies = 0
  const vault = place.open({ person: KEY }, (step) => {
    seen.set(step, (seen.get(step) ?? 0) + 1)
    if ((seen.get(step) ?? 0) > 16) return
    const copy = mkdtempSync(join(tmpdir(), "clawfs-killed-"))
    try {
      for (const file of ["vault.db", "vault.db-wal"])
        cpSync(join(place.directory, file), join(copy, file), { force: true })
      checkCopy(copy, model, planned, step)
      copies += 1
    } finally {
      rmSync(copy, { recursive: true, force: true })
    }
  })
  const names = ["a", "b", "c"]
  for (let i = 0; i < 90; i += 1) {
    const name = random.pick(names)
    const kind = random.pick(["put", "put", "put", "rm", "destroy", "rotate", "protector"])
    planned = new Map(model)
    if (kind === "put") {
      planned.set(name, `value ${i}`)
      vault.put(SUBJECT, name, Buffer.from(`value ${i}`))
    } else if (kind === "rotate") vault.rotate(SUBJECT)
    else if (kind === "protector") vault.removeProtector(SUBJECT, vault.addPerson(SUBJECT, KEY))
    else if (model.get(name) !== undefined) {
      planned.set(name, undefined)
      if (kind === "rm") vault.remove(SUBJECT, name)
      else vault.destroy(SUBJECT, name)
    }
    model.clear()
    for (const [key, value] of planned) model.set(key, value)
  }
  expect([...seen.keys()].sort()).toEqual(
    [
      ...["put", "rm", "destroy", "protector-add", "protector-remove"].flatMap((event) =>
        ["before the audit", "before the commit", "after the commit"].map((when) => `${event}: ${when}`),
      ),
      ...["put: version added", "destroy: settled"],
      ...["sealed", "wrapped", "written", "committed", "counted"],
    ].sort(),
  )
  expect(copies).toBeGreaterThan(200)
}, 300_000)
