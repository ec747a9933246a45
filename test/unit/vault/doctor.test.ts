/** `clawfs vault doctor` tells what is wrong with a vault's TPM, files and age. */
import { chmodSync } from "node:fs"
import { expect, test, vi } from "vitest"
import { doctor } from "../../../clawfs/cli/run/vault-doctor.ts"
import type { VaultAction } from "../../../clawfs/cli/vault/action.ts"
import { TestBus, requireBus } from "../../helpers/logind.ts"
import { skipIf } from "../../helpers/requirements.ts"
import { Swtpm, requireSwtpm } from "../../helpers/swtpm.ts"
import { TestVault } from "../../helpers/vault.ts"

async function examine(directory: string): Promise<{ code: number; bad: string[]; sleep: string[] }> {
  const lines: string[] = []
  const terminal = { out: (text: string) => void lines.push(...text.split("\n")) } as VaultAction["terminal"]
  const code = await doctor({ directory, values: {}, operands: [], terminal })
  return {
    code,
    bad: lines.filter((line) => line.startsWith("bad")),
    sleep: lines.filter((line) => line.includes("systemd-logind")),
  }
}

test("a TPM that is locked out, cleared or gone is told", async (context) => {
  skipIf(context, requireSwtpm())
  await using swtpm = await Swtpm.start()
  const pin = Buffer.from("right")
  using place = new TestVault({ tcti: swtpm.tcti, pcrs: [7], pin })
  expect(await examine(place.directory)).toMatchObject({ code: 0, bad: [] })
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
  expect(await examine(place.directory)).toMatchObject({
    code: 1,
    bad: [expect.stringMatching(/locked out after \d+ wrong PINs/)],
  })
  await swtpm.replace()
  expect(await examine(place.directory)).toMatchObject({
    code: 1,
    bad: [expect.stringContaining("another TPM")],
  })
  await swtpm.powerOff()
  expect(await examine(place.directory)).toMatchObject({
    code: 1,
    bad: [expect.stringContaining("can't be asked")],
  })
})

test("files that others can write are told", async () => {
  using place = new TestVault()
  chmodSync(place.directory, 0o777)
  expect(await examine(place.directory)).toMatchObject({
    code: 1,
    bad: [expect.stringContaining("others can write")],
  })
})

test("whether the machine waits for the vault before it sleeps is told, and why it does not", async (context) => {
  skipIf(context, requireBus())
  await using bus = await TestBus.start()
  using place = new TestVault()
  vi.stubEnv("DBUS_SYSTEM_BUS_ADDRESS", `unix:path=${bus.directory}/none`)
  try {
    const without = `weak  the vault is locked after the machine has slept, not before: systemd-logind does not wait (no bus answers at ${bus.directory}/none: connect: ENOENT)`
    expect((await examine(place.directory)).sleep).toEqual([without])
    vi.stubEnv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    expect((await examine(place.directory)).sleep).toEqual([
      expect.stringMatching(/^weak .* does not wait \(Inhibit: The name org\.freedesktop\.login1 /),
    ])
    await using manager = await bus.logind()
    expect((await examine(place.directory)).sleep).toEqual([
      "ok    systemd-logind waits until the vault is locked before the machine sleeps",
    ])
    // It was given back at once.
    expect(await manager.hears("lock")).toBe("lock sleep ClawFS delay")
    manager.tell("sleep")
    await manager.hears("slept")
  } finally {
    vi.unstubAllEnvs()
  }
})
