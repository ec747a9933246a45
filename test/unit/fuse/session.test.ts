import { describe, expect, test } from "vitest"
import { Reader } from "../../../clawfs/core/bytes.ts"
import { E, OK } from "../../../clawfs/core/errno.ts"
import { Size } from "../../../clawfs/fuse/abi.ts"
import { Flag } from "../../../clawfs/fuse/flags.ts"
import { Reply } from "../../../clawfs/fuse/reply.ts"
import { MAX_TRANSFER, hasResend, negotiateInit, type Agreement } from "../../../clawfs/fuse/session.ts"
import { readGolden, section } from "../support/golden.ts"
import { words } from "../support/requests.ts"

const golden = readGolden("fuse.hex")
const options = { writeback: false, openIsAsked: false }

interface Answer {
  readonly agreed: Agreement | number
  readonly payload: Buffer
}

function negotiate(init: Buffer, asked = options): Answer {
  const reply = new Reply(Buffer.alloc(400, 0xee))
  reply.reset()
  const agreed = negotiateInit(new Reader(init), asked, reply)
  return { agreed, payload: reply.buffer.subarray(Size.outHeader, reply.start) }
}

const initIn = (major: number, minor: number, flags = 0xffff_ffff, flags2 = 0xffff_ffff): Buffer =>
  Buffer.concat([words(major, minor, 4_000_000, flags, flags2), Buffer.alloc(44)])

function agreementOf({ agreed }: Answer): Agreement {
  if (typeof agreed === "number") throw new Error(`refused with ${agreed}`)
  return agreed
}

describe("versions", () => {
  test.each([
    [7, 30],
    [7, 0],
    [6, 45],
    [0, 0],
  ])("a kernel that speaks %i.%i is refused with EPROTO and no payload", (major, minor) => {
    const { agreed, payload } = negotiate(initIn(major, minor))
    expect(agreed).toBe(E.EPROTO)
    expect(payload).toHaveLength(0)
  })

  test.each([31, 36, 38, 45])("a kernel that speaks 7.%i is answered in its own version", (minor) => {
    const answer = negotiate(initIn(7, minor))
    expect(agreementOf(answer).minor).toBe(minor)
    expect([answer.payload.readUInt32LE(0), answer.payload.readUInt32LE(4)]).toEqual([7, minor])
    expect(answer.payload).toHaveLength(Size.initOut)
  })

  test("a kernel with a newer minor is answered with the newest that is described here", () => {
    expect(agreementOf(negotiate(initIn(7, 99))).minor).toBe(45)
  })

  test("a kernel with a newer major is told 7 and asks again: nothing is agreed yet", () => {
    const { agreed, payload } = negotiate(initIn(8, 0))
    expect(agreed).toBe(OK)
    expect([payload.readUInt32LE(0), payload.readUInt32LE(4)]).toEqual([7, 45])
    expect(payload.subarray(8).every((byte) => byte === 0)).toBe(true)
    expect(payload).toHaveLength(Size.initOut)
  })
})

describe("old kernels", () => {
  test("an init_in of 16 bytes has no second word of flags", () => {
    const { bytes } = section(golden, "fuse_init_in, 16 bytes before 7.36")
    const answer = negotiate(bytes)
    expect(agreementOf(answer).flags >> 32n).toBe(0n)
    expect(answer.payload).toHaveLength(Size.initOut)
  })

  test("an init_in of fewer bytes is refused", () => {
    const { bytes } = section(golden, "fuse_init_in, 16 bytes before 7.36")
    for (let length = 0; length < 16; length += 1)
      expect(() => negotiate(bytes.subarray(0, length))).toThrow(RangeError)
  })

  test("without HAS_RESEND a killed server's requests can't be asked for again", () => {
    expect(hasResend(agreementOf(negotiate(initIn(7, 31, 0xffff_ffff, 0))))).toBe(false)
    expect(hasResend(agreementOf(negotiate(initIn(7, 45))))).toBe(true)
  })
})

describe("the agreement", () => {
  test("is what was told to the kernel", () => {
    const answer = negotiate(initIn(7, 45))
    const { flags } = agreementOf(answer)
    expect(BigInt(answer.payload.readUInt32LE(12)) | (BigInt(answer.payload.readUInt32LE(32)) << 32n)).toBe(
      flags,
    )
    expect(flags & Flag.INIT_EXT).toBe(Flag.INIT_EXT)
  })

  test("keeps the options that the mount was made with", () => {
    const asked = { writeback: true, openIsAsked: true }
    expect(agreementOf(negotiate(initIn(7, 45), asked))).toMatchObject(asked)
  })

  test("takes requests of 1 MiB, and leaves the read-ahead to the kernel's own limit", () => {
    const { payload } = negotiate(initIn(7, 45))
    expect(payload.readUInt32LE(8)).toBe(MAX_TRANSFER)
    expect(payload.readUInt32LE(20)).toBe(MAX_TRANSFER)
    expect(payload.readUInt16LE(28) * 4096).toBe(MAX_TRANSFER)
    const small = negotiate(words(7, 31, 65_536, 0))
    expect(small.payload.readUInt32LE(8)).toBe(MAX_TRANSFER)
  })

  test("has times that are exact to the nanosecond", () => {
    expect(negotiate(initIn(7, 45)).payload.readUInt32LE(24)).toBe(1)
  })
})
