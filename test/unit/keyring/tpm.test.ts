/** The TPM as the vault uses it, on swtpm(). */
import { spawnSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { setenv } from "../../../clawfs/sys/libc.ts"
import { Tpm, checkTcti, type SealedObject } from "../../../keyring/tpm.ts"
import { requirePrograms, skipIf } from "../../helpers/requirements.ts"
import { Swtpm } from "../../helpers/swtpm.ts"
import { useSwtpm } from "../../helpers/swtpm-tests.ts"

const swtpm = useSwtpm()

const SECRET = randomBytes(32)
const pinOf = (text: string): Buffer => createHash("sha256").update(text).digest().fill(1, 31)

function opened(tpm: Tpm, sealed: SealedObject, options: Parameters<Tpm["unseal"]>[2] = {}): Buffer {
  const into = Buffer.alloc(32)
  tpm.unseal(sealed, into, options)
  return into
}

describe("sealing", () => {
  test("gives back what was sealed, also after a reboot", async () => {
    const sealed = ((): SealedObject => {
      using tpm = new Tpm(swtpm().tcti)
      return tpm.seal(SECRET, [7])
    })()
    await swtpm().reboot()
    using tpm = new Tpm(swtpm().tcti)
    expect(opened(tpm, sealed)).toEqual(SECRET)
  })

  test("to several registers, to none, to more than are read at once", () => {
    using tpm = new Tpm(swtpm().tcti)
    for (const pcrs of [[], [0], [0, 7, 11], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]])
      expect(opened(tpm, tpm.seal(SECRET, pcrs))).toEqual(SECRET)
  })

  test("does not open after one of its registers was extended", () => {
    using tpm = new Tpm(swtpm().tcti)
    const [bound, other] = [tpm.seal(SECRET, [11]), tpm.seal(SECRET, [12])]
    tpm.extendPcr(11, randomBytes(32))
    expect(() => opened(tpm, bound)).toThrow(expect.objectContaining({ kind: "denied" }))
    expect(opened(tpm, other)).toEqual(SECRET)
  })

  test("with a PIN opens with that alone, and a wrong one counts", () => {
    using tpm = new Tpm(swtpm().tcti)
    const sealed = tpm.seal(SECRET, [7], { pin: pinOf("1234") })
    const before = tpm.lockout().failures
    expect(() => opened(tpm, sealed, { pin: pinOf("1235") })).toThrow(
      expect.objectContaining({ kind: "denied" }),
    )
    expect(tpm.lockout()).toMatchObject({ failures: before + 1, isLockedOut: false })
    expect(opened(tpm, sealed, { pin: pinOf("1234") })).toEqual(SECRET)
    expect(() => opened(tpm, sealed)).toThrow(expect.objectContaining({ kind: "denied" }))
  })

  test("rejects each flipped bit of what it made", () => {
    using tpm = new Tpm(swtpm().tcti)
    const sealed = tpm.seal(SECRET, [7])
    for (const field of ["privateArea", "publicArea", "parent"] as const)
      for (let bit = 0; bit < sealed[field].length * 8; bit += 17) {
        const bytes = Buffer.from(sealed[field])
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        expect(() => opened(tpm, { ...sealed, [field]: bytes }), `${field}, bit ${bit}`).toThrow()
      }
    expect(opened(tpm, sealed)).toEqual(SECRET)
  })

  test("leaves nothing open in the TPM, however often it fails", () => {
    using tpm = new Tpm(swtpm().tcti)
    const sealed = tpm.seal(SECRET, [13])
    tpm.extendPcr(13, randomBytes(32))
    for (let i = 0; i < 20; i += 1) expect(() => opened(tpm, sealed)).toThrow()
    expect(opened(tpm, tpm.seal(SECRET, [7]))).toEqual(SECRET)
  })

  test("reads the registers as an independent program does", (context) => {
    skipIf(context, requirePrograms("tpm2_pcrread"))
    using tpm = new Tpm(swtpm().tcti)
    tpm.extendPcr(14, randomBytes(32))
    const [seven, fourteen] = tpm.pcrValues([14, 7])
    const { stdout } = spawnSync("tpm2_pcrread", ["-T", swtpm().tcti, "sha256:7,14"], { encoding: "utf8" })
    const shown = [...stdout.matchAll(/0x([0-9A-F]{64})/g)].map(([, hex = ""]) => hex.toLowerCase())
    expect(shown).toEqual([seven?.toString("hex"), fourteen?.toString("hex")])
  })
})

describe("the counter", () => {
  test("opens what is sealed to its value, at that value alone", () => {
    using tpm = new Tpm(swtpm().tcti)
    const counter = tpm.newCounter()
    const now = tpm.read(counter)
    const { name } = counter
    const [present, next] = [now, now + 1n].map((value) =>
      tpm.seal(SECRET, [7], { counter: { name, value } }),
    )
    if (present === undefined || next === undefined) throw new Error("not sealed")
    expect(opened(tpm, present, { counter, value: now })).toEqual(SECRET)
    expect(() => opened(tpm, next, { counter, value: now + 1n })).toThrow(
      expect.objectContaining({ kind: "denied" }),
    )
    expect(tpm.increment(counter)).toBe(now + 1n)
    expect(() => opened(tpm, present, { counter, value: now })).toThrow()
    // The value that the caller claims does not help: the policy has its own.
    expect(() => opened(tpm, present, { counter, value: now + 1n })).toThrow()
    expect(opened(tpm, next, { counter, value: now + 1n })).toEqual(SECRET)
    tpm.removeCounter(counter)
  })

  test("is found again by its index and name, and never comes back lower", () => {
    using tpm = new Tpm(swtpm().tcti)
    const first = tpm.newCounter()
    for (let i = 0; i < 3; i += 1) tpm.increment(first)
    const last = tpm.read(first)
    expect(tpm.openCounter(first.index, first.name)).toMatchObject({ index: first.index })
    expect(tpm.openCounter(first.index, randomBytes(34))).toBeUndefined()
    tpm.removeCounter(first)
    expect(tpm.openCounter(first.index, first.name)).toBeUndefined()
    const second = tpm.newCounter()
    expect(tpm.read(second)).toBeGreaterThan(last)
    tpm.removeCounter(second)
  })

  test("two vaults have two", () => {
    using tpm = new Tpm(swtpm().tcti)
    const [a, b] = [tpm.newCounter(), tpm.newCounter()]
    expect(a.index).not.toBe(b.index)
    tpm.removeCounter(a)
    tpm.removeCounter(b)
  })
})

test("nothing secret is seen on the way to the TPM and back", () => {
  const record = join(swtpm().directory, "bus.pcap")
  setenv("TCTI_PCAP_FILE", record, 1)
  const pin = pinOf("bus")
  {
    using tpm = new Tpm(`pcap:${swtpm().tcti}`)
    const sealed = tpm.seal(SECRET, [7], { pin })
    expect(opened(tpm, sealed, { pin })).toEqual(SECRET)
  }
  const bus = readFileSync(record)
  rmSync(record)
  expect(bus.length).toBeGreaterThan(2000)
  // The record is one of this conversation: it shows what is not encrypted.
  using tpm = new Tpm(swtpm().tcti)
  expect(bus.includes(tpm.pcrValues([7])[0] ?? SECRET)).toBe(true)
  for (const secret of [SECRET, pin])
    for (let at = 0; at + 8 <= secret.length; at += 8)
      expect(bus.includes(secret.subarray(at, at + 8))).toBe(false)
})

describe("a TPM that is another one", () => {
  test("is noticed by its name, and by itself when the name is forged", async () => {
    await using other = await Swtpm.start()
    using tpm = new Tpm(swtpm().tcti)
    const sealed = tpm.seal(SECRET, [7])
    using foreign = new Tpm(other.tcti)
    expect(() => opened(foreign, sealed)).toThrow(/another TPM/)
    const { parent } = foreign.seal(SECRET, [7])
    expect(() => opened(foreign, { ...sealed, parent })).toThrow(expect.objectContaining({ kind: "denied" }))
  })

  test("vanishes and comes back: the next connection works", async () => {
    await using own = await Swtpm.start()
    const sealed = ((): SealedObject => {
      using tpm = new Tpm(own.tcti)
      return tpm.seal(SECRET, [7])
    })()
    await own.powerOff()
    expect(() => new Tpm(own.tcti)).toThrow(expect.objectContaining({ kind: "unsupported" }))
    await own.powerOn()
    using tpm = new Tpm(own.tcti)
    expect(opened(tpm, sealed)).toEqual(SECRET)
    await own.replace()
    using cleared = new Tpm(own.tcti)
    expect(() => opened(cleared, sealed)).toThrow(/another TPM/)
  })
})

test("only drivers of tpm2-tss can be named, no other library and no command", () => {
  for (const tcti of ["device:/dev/tpmrm0", "swtpm:path=/run/x/sock", "swtpm:host=127.0.0.1,port=2321"])
    expect(checkTcti(tcti)).toBe(tcti)
  for (const tcti of ["/tmp/evil.so", "cmd:sh -c id", "libevil.so", "", "../x", "pcap:cmd:id", "device:a b"])
    expect(() => checkTcti(tcti)).toThrow(expect.objectContaining({ kind: "invalid" }))
})

test("too many wrong PINs lock the TPM out, and that is said", async () => {
  await using own = await Swtpm.start()
  using tpm = new Tpm(own.tcti)
  const sealed = tpm.seal(SECRET, [7], { pin: pinOf("right") })
  const { most } = tpm.lockout()
  for (let i = 0; i < most; i += 1) expect(() => opened(tpm, sealed, { pin: pinOf(`wrong ${i}`) })).toThrow()
  expect(tpm.lockout().isLockedOut).toBe(true)
  expect(() => opened(tpm, sealed, { pin: pinOf("right") })).toThrow(
    expect.objectContaining({ kind: "busy" }),
  )
})
