/** A vault with a TPM: unattended unlocking, rotation, databases that were put back, a TPM that is lost. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { Tpm } from "../../../keyring/tpm.ts"
import { unlock } from "../../../vault/unlock.ts"
import { VaultDatabase } from "../../../vault/database.ts"
import { Vault } from "../../../vault/vault.ts"
import { program } from "../../helpers/programs.ts"
import { Swtpm } from "../../helpers/swtpm.ts"
import { useSwtpm } from "../../helpers/swtpm-tests.ts"
import { KEY, SUBJECT, TestVault, valueOf } from "../../helpers/vault.ts"

const fault = (kind: string): unknown => expect.objectContaining({ kind })
const swtpm = useSwtpm()

const choice = (pcrs = [7], pin?: string): { tcti: string; pcrs: number[]; pin?: Buffer } => ({
  ...{ tcti: swtpm().tcti, pcrs },
  ...(pin === undefined ? {} : { pin: Buffer.from(pin) }),
})

test("opens by itself, after a reboot too, and not after its register changed", async () => {
  using place = new TestVault(choice([7, 9]))
  place.open({}).put(SUBJECT, "a", Buffer.from("x"))
  place.close()
  await swtpm().reboot()
  expect(valueOf(place.open({}), "a")).toBe("x")
  {
    using tpm = new Tpm(swtpm().tcti)
    tpm.extendPcr(9, Buffer.alloc(32, 1))
  }
  expect(() => place.open({})).toThrow(fault("denied"))
  expect(valueOf(place.open({ person: KEY }), "a")).toBe("x")
})

test("with a PIN, asks for it", () => {
  using place = new TestVault(choice([7], "2468"))
  expect(() => place.open({})).toThrow(fault("locked"))
  expect(() => place.open({ pin: Buffer.from("1111") })).toThrow(fault("denied"))
  const vault = place.open({ pin: Buffer.from("2468") })
  expect(() => vault.rotate(SUBJECT)).toThrow(/PIN/)
  vault.rotate(SUBJECT, Buffer.from("2468"))
  expect(place.open({ pin: Buffer.from("2468") }).keys.epoch).toBe(2)
})

describe("a database that was put back", () => {
  test("to before a rotation is refused, until it is adopted", () => {
    using place = new TestVault(choice())
    place.open({}).put(SUBJECT, "a", Buffer.from("old"))
    place.close()
    const saved = mkdtempSync(join(tmpdir(), "clawfs-saved-"))
    cpSync(place.directory, saved, { recursive: true })
    const vault = place.open({})
    vault.put(SUBJECT, "a", Buffer.from("new"))
    vault.rotate(SUBJECT)
    expect(valueOf(vault, "a")).toBe("new")
    place.close()
    expect(valueOf(place.open({}), "a")).toBe("new")
    place.close()
    cpSync(saved, place.directory, { recursive: true })
    rmSync(saved, { recursive: true })
    expect(() => place.open({})).toThrow(/older than its TPM's counter/)
    expect(() => place.open({ person: KEY })).toThrow(/older than its TPM's counter/)
    const old = place.open({ person: KEY, anyAge: true })
    old.adopt(SUBJECT)
    expect(valueOf(old, "a")).toBe("old")
    place.close()
    expect(valueOf(place.open({}), "a")).toBe("old")
    expect(place.open({}).verifyAudit().rows).toBeGreaterThan(3)
  })

  test("the TPM itself does not open what was sealed before the rotation", () => {
    using place = new TestVault(choice())
    const vault = place.open({})
    const [before] = vault.protectors()
    vault.rotate(SUBJECT)
    const [after] = vault.protectors()
    expect(after?.sealed).not.toEqual(before?.sealed)
    place.close()
    const db = place.database()
    if (before === undefined) throw new Error("no protector")
    db.query<[Buffer]>("UPDATE protector SET sealed = ? WHERE number = 1").run(before.sealed)
    expect(() => place.open({})).toThrow(fault("denied"))
  })
})

describe("a TPM that is lost", () => {
  test("or cleared: the vault is adopted, and goes on with the one that is there", async () => {
    await using own = await Swtpm.start()
    using place = new TestVault({ tcti: own.tcti, pcrs: [7] })
    place.open({}).put(SUBJECT, "a", Buffer.from("x"))
    place.close()
    await own.replace()
    expect(() => place.open({})).toThrow(/does not have the counter/)
    expect(() => place.open({ person: KEY })).toThrow(/does not have the counter/)
    {
      // A counter of the same name and a value that fits proves nothing.
      using tpm = new Tpm(own.tcti)
      tpm.newCounter()
    }
    expect(() => place.open({ person: KEY })).toThrow(/another TPM than the vault's|TPM's counter/)
    place.open({ person: KEY, anyAge: true }).adopt(SUBJECT)
    place.close()
    expect(valueOf(place.open({}), "a")).toBe("x")
  })

  test("for good: the vault goes on without, and takes another later", async () => {
    const own = await Swtpm.start()
    using place = new TestVault({ tcti: own.tcti, pcrs: [7] })
    place.open({}).put(SUBJECT, "a", Buffer.from("x"))
    place.close()
    await own[Symbol.asyncDispose]()
    expect(() => place.open({})).toThrow(fault("unsupported"))
    expect(() => place.open({ person: KEY })).toThrow(/can't be asked/)
    place.open({ person: KEY, anyAge: true }).adopt(SUBJECT)
    place.close()
    expect(() => place.open({})).toThrow(fault("locked"))
    const vault = place.open()
    expect(valueOf(vault, "a")).toBe("x")
    expect(() => vault.adopt(SUBJECT)).toThrow(fault("invalid"))
    vault.addTpm(SUBJECT, choice())
    expect(() => vault.addTpm(SUBJECT, choice())).toThrow(fault("exists"))
    place.close()
    const again = place.open({})
    expect(valueOf(again, "a")).toBe("x")
    again.rotate(SUBJECT)
    const tpm = again.protectors().find(({ kind }) => kind === 1)
    again.removeProtector(SUBJECT, tpm?.number ?? 0)
    expect(() => place.open({})).toThrow(fault("locked"))
  })
})

test("a rotation that is killed at any step loses nothing, and the next unlocking needs nobody", async () => {
  using place = new TestVault(choice())
  const writer = place.open({})
  for (let i = 0; i < 30; i += 1) writer.put(SUBJECT, `s-${i}`, Buffer.from(`value ${i}`))
  place.close()
  const child = program("test/unit/vault/rotate-child.ts")
  const epochs: number[] = []
  for (const step of ["sealed", "wrapped", "written", "committed", "counted", "none"])
    for (let again = 0; again < 2; again += 1) {
      const run = spawn(process.execPath, [child, place.directory, step], {
        stdio: ["ignore", "inherit", "inherit"],
      })
      const [code, signal] = (await once(run, "exit")) as [number | null, string | null]
      expect(step === "none" ? code : signal).toBe(step === "none" ? 0 : "SIGKILL")
      using db = VaultDatabase.open(place.directory)
      using vault = new Vault(db, unlock(db, { inKernel: false }).keys)
      for (let i = 0; i < 30; i += 1) expect(valueOf(vault, `s-${i}`)).toBe(`value ${i}`)
      expect(vault.protectors()).toHaveLength(3)
      vault.verifyAudit()
      epochs.push(vault.keys.epoch)
    }
  // Killed before the commit: the old root key. After it: the new one.
  expect(epochs).toEqual([1, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 7])
})
