/**
 * What a kill leaves behind at each named step. SIGKILL changes nothing that was written: what the next process finds are
 * the files as they are at that moment, so the directory is copied there and opened as after the kill.
 */
import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { Grants } from "../../../vault/grants.ts"
import { unlock } from "../../../vault/unlock.ts"
import { VaultDatabase } from "../../../vault/database.ts"
import { Vault } from "../../../vault/vault.ts"
import { Random } from "../../model/random.ts"
import { KEY, SUBJECT, TestVault, valueOf } from "../../helpers/vault.ts"

/** The newest acknowledged value of each secret, or what it was before an operation that is under way. */
type Model = Map<string, string | undefined>

/** Numbers of grants and of protectors. */
interface Access {
  readonly grants: readonly number[]
  readonly protectors: readonly number[]
}

type Values = readonly (string | undefined)[]

const NAMES = ["a", "b", "c"]
const valuesIn = (model: Model): Values => NAMES.map((name) => model.get(name))

function accessOf(db: VaultDatabase, vault: Vault): Access {
  const grants = new Grants(db).all(vault.keys).map(({ id }) => id)
  return { grants, protectors: vault.protectors().map(({ number }) => number) }
}

/** Opens a copy as after a kill, and goes on with it. Returns what it allows. */
function checkCopy(
  directory: string,
  before: Model,
  after: Model,
  step: string,
): Access & { readonly values: Values } {
  using db = VaultDatabase.open(directory)
  using vault = new Vault(db, unlock(db, { person: KEY, inKernel: false }).keys)
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const entry = vault.find(name)
    const value = entry?.metadata.removed === 0 ? valueOf(vault, name) : undefined
    expect([before.get(name), after.get(name)], `${name} at ${step}`).toContain(value)
  }
  vault.verifyAudit()
  const values = NAMES.map((name) =>
    vault.find(name)?.metadata.removed === 0 ? valueOf(vault, name) : undefined,
  )
  const access = { ...accessOf(db, vault), values }
  vault.put(SUBJECT, "after-the-kill", Buffer.from("x"))
  return access
}

/** As the service does it. */
function grantVault(vault: Vault, event: string, work: () => unknown): void {
  vault.audited(event, SUBJECT, work)
}

const ACCESS = ["grant", "revoke", "sign", "prune"]
const EVENTS = [
  ...["put", "rm", "destroy", "protector-add", "protector-remove"],
  ...["grant", "revoke", "signature", "audit-prune"],
]

test("put, import, rm, destroy, rotate, grants, protector changes, signing and pruning are done or not done, at every step", () => {
  const random = new Random(20261121)
  using place = new TestVault()
  const model: Model = new Map()
  let planned: Model = model
  const seen = new Map<string, number>()
  let copies = 0
  const found: { step: string; access: ReturnType<typeof checkCopy> }[] = []
  const db = place.database()
  using vault = new Vault(db, unlock(db, { person: KEY, inKernel: false }).keys, (step) => {
    seen.set(step, (seen.get(step) ?? 0) + 1)
    if ((seen.get(step) ?? 0) > 8) return
    const copy = mkdtempSync(join(tmpdir(), "clawfs-killed-"))
    try {
      for (const file of ["vault.db", "vault.db-wal"])
        cpSync(join(place.directory, file), join(copy, file), { force: true })
      found.push({ step, access: checkCopy(copy, model, planned, step) })
      copies += 1
    } finally {
      rmSync(copy, { recursive: true, force: true })
    }
  })
  const grants = new Grants(db)
  const grant = { secret: "00".repeat(16), verb: "reveal", until: 0, created: 0 } as const
  for (let i = 0; i < 170; i += 1) {
    const before = accessOf(db, vault)
    found.length = 0
    const name = random.pick(NAMES)
    const kind = random.pick([
      "put",
      "put",
      "put",
      "rm",
      "destroy",
      "rotate",
      "protector",
      "import",
      ...ACCESS,
    ])
    planned = new Map(model)
    if (kind === "put") {
      planned.set(name, `value ${i}`)
      vault.put(SUBJECT, name, Buffer.from(`value ${i}`))
    } else if (kind === "import") {
      for (const each of NAMES) planned.set(each, `import ${i} of ${each}`)
      const feed = (take: (incoming: { name: string; value: Buffer }) => void): void => {
        for (const each of NAMES) take({ name: each, value: Buffer.from(`import ${i} of ${each}`) })
      }
      vault.takeIn(SUBJECT, feed, () => true)
    } else if (kind === "rotate") vault.rotate(SUBJECT)
    else if (kind === "protector") vault.removeProtector(SUBJECT, vault.addPerson(SUBJECT, KEY))
    else if (kind === "grant") grantVault(vault, "grant", () => grants.add(vault.keys, { ...grant, uses: i }))
    else if (kind === "revoke") {
      const [id] = before.grants
      if (id !== undefined) grantVault(vault, "revoke", () => grants.remove(id))
    } else if (kind === "sign") vault.signAudit(SUBJECT)
    else if (kind === "prune") vault.pruneAudit(SUBJECT, Date.now())
    else if (model.get(name) !== undefined) {
      planned.set(name, undefined)
      if (kind === "rm") vault.remove(SUBJECT, name)
      else vault.destroy(SUBJECT, name)
    }
    // Done or not done: what a copy allows is what was allowed before, or after, or between two changes.
    const after = accessOf(db, vault)
    for (const { step, access } of found) {
      expect([before.grants, after.grants], `grants at ${step}`).toContainEqual(access.grants)
      // Of an import all values or none.
      expect([model, planned].map(valuesIn), `values at ${step}`).toContainEqual(access.values)
      if (kind !== "protector") expect(access.protectors, step).toEqual(before.protectors)
      else expect(access.protectors.slice(0, 2), step).toEqual(before.protectors)
    }
    model.clear()
    for (const [key, value] of planned) model.set(key, value)
  }
  expect([...seen.keys()].sort()).toEqual(
    [
      ...EVENTS.flatMap((event) =>
        ["before the audit", "before the commit", "after the commit"].map((when) => `${event}: ${when}`),
      ),
      ...["put: version added", "destroy: settled"],
      ...["import: one taken", "import: before the commit", "import: after the commit"],
      ...["sealed", "wrapped", "written", "committed", "counted"],
    ].sort(),
  )
  expect(copies).toBeGreaterThan(200)
}, 300_000)
