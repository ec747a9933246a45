/** The kernel's records, byte by byte, at the offsets of P1.3's tables. */
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { EVENT_BYTES, EventId, HEADER_BYTES, readRecord } from "../../../schema/events.ts"

interface Head {
  readonly id: number
  readonly version?: number
  readonly source: number
  readonly flags?: number
  readonly error?: number
  readonly call?: number
}

function record(size: number, { id, version = 1, source, flags = 0, error = 0, call = 0 }: Head): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + size)
  bytes.writeUInt32LE(7, 0)
  bytes.writeUInt16LE(call, 4)
  bytes.writeUInt16LE(error, 6)
  bytes.writeUInt8(source, 8)
  bytes.writeUInt8(flags, 9)
  bytes.writeUInt8(version, 16)
  bytes.writeUInt8(id, 17)
  bytes.writeBigUInt64LE(123_456_789_012n, 20)
  return bytes
}

const read = (bytes: Buffer) =>
  readRecord(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length)

describe("structures", () => {
  test("have the sizes of the specification's offset tables", () => {
    expect(EVENT_BYTES).toEqual({ ANOMALY: 1056, SYSCALL: 104, FILE: 304, NETWORK: 64, CGROUP: 304 })
  })

  test("a system call: arguments at 0x28, the program's name at 0x58", () => {
    const bytes = record(EVENT_BYTES.SYSCALL, { id: EventId.SYSCALL, source: 4, error: 1, call: 165 })
    const at = HEADER_BYTES
    bytes.writeUInt16LE(165, at + 2)
    bytes.writeUInt32LE(40, at + 12)
    bytes.writeUInt32LE(41, at + 16)
    bytes.writeBigInt64LE(-1n, at + 20)
    bytes.writeUInt8(2, at + 36)
    bytes.writeBigUInt64LE(0xffff_ffff_ffff_ffffn, at + 0x28)
    bytes.writeBigUInt64LE(5n, at + 0x30)
    bytes.write("mounter\0rest", at + 0x58)
    expect(read(bytes)).toEqual({
      id: EventId.SYSCALL,
      run: 7,
      call: 165,
      error: 1,
      source: "call",
      isDenied: false,
      timestampNs: 123_456_789_012n,
      sysnum: 165,
      pid: 40,
      tid: 41,
      returnValue: -1n,
      durationNs: 0n,
      args: [0xffff_ffff_ffff_ffffn, 5n],
      comm: "mounter",
    })
  })

  test("a file: the path at 0x30, its end left out", () => {
    const path = "/clawfs/ä"
    const bytes = record(0x30 + Buffer.byteLength(path) + 1, {
      id: EventId.FILE,
      source: 5,
      flags: 1,
      error: 1,
    })
    const at = HEADER_BYTES
    bytes.writeUInt8(1, at + 1)
    bytes.writeUInt32LE(40, at + 12)
    bytes.writeUInt32LE(41, at + 16)
    bytes.writeUInt32LE(65_534, at + 20)
    bytes.writeUInt32LE(65_533, at + 24)
    bytes.writeBigUInt64LE(99n, at + 28)
    bytes.writeUInt32LE(0x10_0002, at + 36)
    bytes.writeUInt32LE(0o100644, at + 40)
    bytes.writeUInt16LE(Buffer.byteLength(path), at + 44)
    bytes.write(path, at + 0x30)
    expect(read(bytes)).toMatchObject({
      source: "open",
      isDenied: true,
      operation: "WRITE",
      isGranted: false,
      uid: 65_534,
      gid: 65_533,
      inode: 99n,
      device: 0x10_0002,
      mode: 0o100644,
      path,
    })
  })

  test.each([
    ["127.0.0.1", true, "7f000001000000000000000000000000"],
    ["2001:db8::1", false, "20010db8000000000000000000000001"],
    ["::", false, "00000000000000000000000000000000"],
    ["fe80::1:0:0:2", false, "fe800000000000000001000000000002"],
  ])("a connection to %s", (address, isIpv4, digits) => {
    const bytes = record(EVENT_BYTES.NETWORK, { id: EventId.NETWORK, source: 7 })
    const at = HEADER_BYTES
    bytes.writeUInt8(1, at + 1)
    bytes.writeUInt8(2, at + 2)
    Buffer.from(digits, "hex").copy(bytes, at + 36)
    bytes.writeUInt16LE(5432, at + 54)
    bytes.writeUInt8(isIpv4 ? 1 : 0, at + 60)
    expect(read(bytes)).toMatchObject({
      protocol: "TCP",
      direction: "OUTBOUND",
      destination_ip: address,
      destination_port: 5432,
    })
  })
})

describe("what is no record", () => {
  test.each([
    ["another version", record(EVENT_BYTES.SYSCALL, { id: EventId.SYSCALL, source: 4, version: 2 })],
    ["another structure's length", record(EVENT_BYTES.SYSCALL, { id: EventId.NETWORK, source: 7 })],
    ["no structure", record(EVENT_BYTES.SYSCALL, { id: 9, source: 4 })],
    ["a hook that does not exist", record(EVENT_BYTES.SYSCALL, { id: EventId.SYSCALL, source: 200 })],
    ["half a header", Buffer.alloc(HEADER_BYTES - 1)],
  ])("%s is not read", (_what, bytes) => expect(read(bytes)).toBeUndefined())

  test("a path longer than its record is not read", () => {
    const bytes = record(0x30 + 4, { id: EventId.FILE, source: 5 })
    bytes.writeUInt16LE(5, HEADER_BYTES + 44)
    expect(read(bytes)).toBeUndefined()
  })

  test("no bytes whatever make the reader fail", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 512 }), fc.integer({ min: 0, max: 6 }), (rest, id) => {
        const bytes = Buffer.concat([record(0, { id, source: 4 }), rest])
        read(bytes)
      }),
      { numRuns: 500 },
    )
  })
})
