/** What root finds in the memory of a process that works with a vault: no key. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { ProtectorKind } from "../../../keyring/protector.ts"
import { program } from "../../helpers/programs.ts"
import { skipIf } from "../../helpers/requirements.ts"
import { scanMemory } from "../../helpers/residue.ts"
import { Swtpm, requireSwtpm } from "../../helpers/swtpm.ts"
import { RECOVERY, TestVault } from "../../helpers/vault.ts"

const requireRoot = (): string | undefined =>
  process.getuid?.() === 0 ? undefined : "not root: the memory of another process can't be read"

const invert = (hex: string): Buffer => Buffer.from(Buffer.from(hex, "hex").map((byte) => byte ^ 0xff))

async function checkChild(directory: string, how: string): Promise<void> {
  const child = spawn(process.execPath, [program("test/unit/vault/residue-child.ts"), directory, how], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  try {
    const [line] = (await once(child.stdout, "data")) as [Buffer]
    const keys = line.toString().trim().split(" ")
    const pid = child.pid ?? 0
    expect(keys).toHaveLength(4)
    for (const key of keys) {
      expect(key).toHaveLength(64)
      // The scanner sees what is there: the inverted key.
      expect(scanMemory(pid, Buffer.from(key, "hex")).places.length).toBeGreaterThan(0)
      const { places, bytes, hidden } = scanMemory(pid, invert(key))
      expect(places).toEqual([])
      expect(bytes).toBeGreaterThan(10_000_000)
      // Where secret memory is to be had, not even root reads it.
      expect(hidden).toBeGreaterThanOrEqual(0)
    }
  } finally {
    child.kill("SIGKILL")
    await once(child, "exit")
  }
}

test("opened by a key file", async (context) => {
  skipIf(context, requireRoot())
  const secret = randomBytes(32)
  using place = new TestVault(undefined, {
    people: [{ kind: ProtectorKind.KEY_FILE, secret }, RECOVERY],
  })
  const file = join(place.directory, "key")
  writeFileSync(file, secret, { mode: 0o600 })
  await checkChild(place.directory, file)
})

test("opened by the TPM, and sealed to it anew", async (context) => {
  skipIf(context, requireRoot(), requireSwtpm())
  await using swtpm = await Swtpm.start()
  using place = new TestVault({ tcti: swtpm.tcti, pcrs: [7] })
  await checkChild(place.directory, "tpm")
})
