/** A vault on a TPM that the kernel has (`/dev/tpmrm0`); in the virtual machine that is swtpm behind a device. */
import { accessSync, constants, cpSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { beforeEach, expect, test } from "vitest"
import { hasTss2 } from "../../clawfs/sys/tss2.ts"
import { DEFAULT_TCTI } from "../../keyring/tpm.ts"
import { skipIf } from "../helpers/requirements.ts"
import { KEY, SUBJECT, TestVault, valueOf } from "../helpers/vault.ts"

function requireTpm(): string | undefined {
  if (process.env["CLAWFS_VM"] !== "1") return "outside of the virtual machine the TPM is somebody's"
  if (!hasTss2()) return "the libraries of tpm2-tss are missing"
  try {
    accessSync("/dev/tpmrm0", constants.R_OK | constants.W_OK)
    return undefined
  } catch {
    return "/dev/tpmrm0 can't be opened"
  }
}

const fault = (kind: string): unknown => expect.objectContaining({ kind })

beforeEach((context) => skipIf(context, requireTpm()))

test("opens by itself, rotates, and opens by its key file all the same", () => {
  using place = new TestVault({ tcti: DEFAULT_TCTI, pcrs: [7] })
  place.open({}).put(SUBJECT, "a", Buffer.from("sealed"))
  place.close()
  const vault = place.open({})
  expect(valueOf(vault, "a")).toBe("sealed")
  vault.rotate(SUBJECT)
  place.close()
  expect(place.open({}).keys.epoch).toBe(2)
  place.close()
  expect(valueOf(place.open({ person: KEY }), "a")).toBe("sealed")
})

test("with a PIN, asks for it, and takes no other", () => {
  using place = new TestVault({ tcti: DEFAULT_TCTI, pcrs: [7], pin: Buffer.from("2468") })
  expect(() => place.open({})).toThrow(fault("locked"))
  expect(() => place.open({ pin: Buffer.from("1111") })).toThrow(fault("denied"))
  place.open({ pin: Buffer.from("2468") }).put(SUBJECT, "a", Buffer.from("sealed"))
  place.close()
  expect(valueOf(place.open({ pin: Buffer.from("2468") }), "a")).toBe("sealed")
})

test("refuses a database from before a rotation", () => {
  using place = new TestVault({ tcti: DEFAULT_TCTI, pcrs: [7] })
  place.open({}).put(SUBJECT, "a", Buffer.from("old"))
  place.close()
  const saved = mkdtempSync(join(tmpdir(), "clawfs-saved-"))
  cpSync(place.directory, saved, { recursive: true })
  place.open({}).rotate(SUBJECT)
  place.close()
  cpSync(saved, place.directory, { recursive: true })
  rmSync(saved, { recursive: true })
  expect(() => place.open({})).toThrow(/older than its TPM's counter/)
})
