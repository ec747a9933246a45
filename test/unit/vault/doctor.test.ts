/** `clawfs vault doctor` tells what is wrong with a vault's TPM, files and age. */
import { chmodSync } from "node:fs"
import { expect, test } from "vitest"
import { doctor } from "../../../clawfs/cli/run/vault-doctor.ts"
import type { VaultAction } from "../../../clawfs/cli/vault/action.ts"
import { skipIf } from "../../helpers/requirements.ts"
import { Swtpm, requireSwtpm } from "../../helpers/swtpm.ts"
import { TestVault } from "../../helpers/vault.ts"

function examine(directory: string): { code: number; bad: string[] } {
  const lines: string[] = []
  const terminal = { out: (text: string) => void lines.push(...text.split("\n")) } as VaultAction["terminal"]
  const code = doctor({ directory, values: {}, operands: [], terminal })
  return { code, bad: lines.filter((line) => line.startsWith("bad")) }
}

test("a TPM that is locked out, cleared or gone is told", async (context) => {
  skipIf(context, requireSwtpm())
  await using swtpm = await Swtpm.start()
  const pin = Buffer.from("right")
  using place = new TestVault({ tcti: swtpm.tcti, pcrs: [7], pin })
  expect(examine(place.directory)).toEqual({ code: 0, bad: [] })
  let refusal = ""
  for (let tries = 0; refusal !== "busy" && tries < 40; tries += 1) {
    try {
      place.open({ pin: Buffer.from("wrong") })
    } catch (thrown) {
      const { kind, hint } = thrown as { kind: string; hint?: string }
      refusal = kind
      if (kind === "busy") expect(hint).toContain("clawfs vault doctor")
    }
  }
  expect(examine(place.directory)).toEqual({
    code: 1,
    bad: [expect.stringMatching(/locked out after \d+ wrong PINs/)],
  })
  await swtpm.replace()
  expect(examine(place.directory)).toEqual({ code: 1, bad: [expect.stringContaining("another TPM")] })
  await swtpm.powerOff()
  expect(examine(place.directory)).toEqual({ code: 1, bad: [expect.stringContaining("can't be asked")] })
})

test("files that others can write are told", () => {
  using place = new TestVault()
  chmodSync(place.directory, 0o777)
  expect(examine(place.directory)).toEqual({ code: 1, bad: [expect.stringContaining("others can write")] })
})
