/** A vault on a TPM that the kernel has (`/dev/tpmrm0`); in the virtual machine that is swtpm behind a device. */
import { accessSync, constants } from "node:fs"
import { expect, test } from "vitest"
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

test("opens by itself, rotates, and refuses a database from before", (context) => {
  skipIf(context, requireTpm())
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
