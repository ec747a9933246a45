/** A whole vault.db that was put back within a root key's time: noticed by the TPM, whatever else was forgotten. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { copyFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { Tpm } from "../../../keyring/tpm.ts"
import { unlock } from "../../../vault/unlock.ts"
import { readState } from "../../../vault/state.ts"
import { VaultDatabase } from "../../../vault/database.ts"
import { MOST_WRITES, TpmNote } from "../../../vault/tpm-note.ts"
import { Vault } from "../../../vault/vault.ts"
import { program } from "../../helpers/programs.ts"
import { useSwtpm } from "../../helpers/swtpm-tests.ts"
import { KEY, SUBJECT, TestVault, valueOf } from "../../helpers/vault.ts"

const HOUR_MS = 3_600_000
const swtpm = useSwtpm()

interface Opened {
  readonly db: VaultDatabase
  readonly vault: Vault
  readonly note: TpmNote
}

/** As the vault's process does it, from an unlocking to its end. */
function during<T>(place: TestVault, work: (opened: Opened) => T, endsWell = true): T {
  using db = VaultDatabase.open(place.directory)
  using vault = new Vault(db, unlock(db, { inKernel: false }).keys)
  TpmNote.requireNewest(db, vault)
  vault.audited("unlock", SUBJECT, () => undefined)
  const note = new TpmNote(db, vault, SUBJECT)
  const result = work({ db, vault, note })
  if (endsWell) note.last()
  return result
}

const made = (): TestVault => new TestVault({ tcti: swtpm().tcti, pcrs: [7] })
const put = ({ vault }: Opened, value: string): number => vault.put(SUBJECT, "a", Buffer.from(value))
const at = (place: TestVault, name: string): string => join(place.directory, name)

function putBack(place: TestVault): void {
  for (const suffix of ["-wal", "-shm"]) rmSync(at(place, `vault.db${suffix}`), { force: true })
  copyFileSync(at(place, "older"), at(place, "vault.db"))
}

function adopt(place: TestVault): void {
  using db = VaultDatabase.open(place.directory)
  using vault = new Vault(db, unlock(db, { person: KEY, inKernel: false, anyAge: true }).keys)
  vault.adopt(SUBJECT)
}

test("an older state is refused after a restart, also one that went on further; adopt takes it", async () => {
  using place = made()
  during(place, (opened) => put(opened, "1"))
  copyFileSync(at(place, "vault.db"), at(place, "older"))
  during(place, (opened) => put(opened, "2"))
  await swtpm().reboot()
  during(place, ({ vault }) => expect(valueOf(vault, "a")).toBe("2"))
  putBack(place)
  expect(() => during(place, () => undefined)).toThrow(/older than its TPM's note: its audit lacks \d+ rows/)
  {
    // What goes on from the older state, past all checks, does not become the noted one by getting longer.
    using db = VaultDatabase.open(place.directory)
    using vault = new Vault(db, unlock(db, { inKernel: false }).keys)
    for (let i = 0; i < 20; i += 1) vault.put(SUBJECT, "a", Buffer.from("x"))
  }
  expect(() => during(place, () => undefined)).toThrow("lacks 1 row or more")
  adopt(place)
  during(place, (opened) => {
    expect(valueOf(opened.vault, "a")).toBe("x")
    put(opened, "3")
  })
  // From then on the TPM has a note of this one.
  expect(() => {
    putBack(place)
    during(place, () => undefined)
  }).toThrow(/TPM does not have the counter/)
})

test("a note that lags behind, a new root key and pruned rows refuse nothing", () => {
  using place = made()
  during(place, (opened) => put(opened, "1"))
  during(place, (opened) => put(opened, "2"), false)
  during(place, ({ vault }) => vault.rotate(SUBJECT), false)
  during(place, ({ vault }) => void vault.pruneAudit(SUBJECT, Date.now() + 1))
  during(place, ({ vault }) => expect(valueOf(vault, "a")).toBe("2"))
})

test("a vault that has no note gets one; a database of the format before is as valid as it was", () => {
  using place = made()
  {
    const db = place.database()
    db.query("ALTER TABLE vault DROP COLUMN end_note").run()
    db.query("PRAGMA user_version = 2").run()
    place.close()
  }
  during(
    place,
    ({ db, note }) => {
      expect(readState(db).counter?.note).toBeUndefined()
      note.tick()
      expect(readState(db).counter?.note).toBeDefined()
    },
    false,
  )
  copyFileSync(at(place, "vault.db"), at(place, "older"))
  during(place, (opened) => put(opened, "1"))
  putBack(place)
  expect(() => during(place, () => undefined)).toThrow(/older than its TPM's note/)
})

test("who removes the note, or makes another in its place, gets a vault that is refused until it is adopted", () => {
  for (const replaces of [false, true]) {
    using place = made()
    const note = during(place, (opened) => {
      put(opened, "1")
      opened.note.write()
      return readState(opened.db).counter?.note
    })
    if (note === undefined) throw new Error("no note")
    {
      using tpm = new Tpm(swtpm().tcti)
      tpm.removeNote(note)
      if (replaces) expect(tpm.newNote(Buffer.alloc(32, 1), Buffer.alloc(40))).toEqual(note)
    }
    expect(() => during(place, () => undefined)).toThrow("the TPM's note of the vault's newest state is gone")
    adopt(place)
    during(place, ({ vault }) => expect(valueOf(vault, "a")).toBe("1"))
  }
})

test("nobody else writes it, and its authorization value does not help with another", () => {
  using place = made()
  const { note, auth } = during(place, ({ db, vault, note: own }) => {
    own.write()
    return {
      note: readState(db).counter?.note,
      auth: vault.audit.withNoteAuth(vault.keys, (bytes) => Buffer.from(bytes)),
    }
  })
  if (note === undefined) throw new Error("no note")
  using tpm = new Tpm(swtpm().tcti)
  for (const wrong of [Buffer.alloc(32), Buffer.from(auth).reverse()]) {
    expect(() => tpm.writeNote(note, wrong, Buffer.alloc(40))).toThrow(
      expect.objectContaining({ kind: "denied" }),
    )
    expect(tpm.readNote(note, wrong, 40)).toBeUndefined()
  }
  expect(tpm.readNote(note, auth, 40)).toHaveLength(40)
})

test("writes are few: changes at once while some are left, uses each hour, nothing when nothing is new", () => {
  using place = made()
  during(place, (opened) => {
    const { vault, note } = opened
    const noted = (): number => vault.audit.end(vault.keys).seq
    const writes = (work: () => unknown, now: number): boolean => {
      work()
      const before = noted()
      note.tick(now)
      return noted() !== before
    }
    const start = Date.now()
    // The first is what makes it.
    expect(writes(() => undefined, start)).toBe(true)
    expect(writes(() => undefined, start)).toBe(false)
    const changes = Array.from({ length: 10 }, (_, i) => writes(() => put(opened, `${i}`), start))
    expect(changes.filter(Boolean)).toHaveLength(MOST_WRITES - 1)
    // An hour later one is back, for a change alone.
    expect(writes(() => put(opened, "x"), start + HOUR_MS + 10_000)).toBe(true)
    expect(writes(() => put(opened, "y"), start + HOUR_MS + 10_000)).toBe(false)
    const use = (): unknown => valueOf(vault, "a")
    const late = start + (MOST_WRITES + 2) * HOUR_MS
    expect([writes(use, late), writes(use, late), writes(use, late + HOUR_MS)]).toEqual([true, false, true])
  })
})

test("a kill at any step refuses nothing afterwards, and the next unlocking needs nobody", async () => {
  const child = program("test/unit/vault/note-child.ts")
  // Before there is a note, and with one.
  const steps = [
    [
      "note: signed",
      "note: made",
      "end-note: before the commit",
      "end-note: after the commit",
      "note: written",
    ],
    ["note: signed", "note: written"],
  ]
  for (const [at, some] of steps.entries()) {
    using place = made()
    if (at === 1) during(place, (opened) => put(opened, "1"))
    for (const step of some) {
      const run = spawn(process.execPath, [child, place.directory, step], {
        stdio: ["ignore", "inherit", "inherit"],
      })
      const [code, signal] = (await once(run, "exit")) as [number | null, string | null]
      expect([code, signal], step).toEqual([null, "SIGKILL"])
      during(place, ({ vault }) => expect(valueOf(vault, "child")).toBe(step), false)
    }
  }
}, 300_000)
