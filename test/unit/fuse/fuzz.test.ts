import { expect, test } from "vitest"
import { Opcode, Size } from "../../../clawfs/fuse/abi.ts"
import { Flag } from "../../../clawfs/fuse/flags.ts"
import { CAPACITY, fakeOperations, wire, type Wire } from "../support/operations.ts"
import { TestFileSystem } from "../support/filesystem.ts"
import { Client } from "../support/client.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { Random, runs, seed } from "../support/random.ts"
import { RESENT, request, validBody } from "../support/requests.ts"

const SILENT: number[] = [Opcode.FORGET, Opcode.BATCH_FORGET]
const opcodes = Array.from({ length: 61 }, (_, opcode) => opcode) as [number, ...number[]]

/** 32-bit words that are edges of something. */
const EDGES: [number, ...number[]] = [
  0, 1, 2, 0xff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1f_ffff, 0x20_0000, 4096,
]

/** Random bytes, or a valid request that was bent: bytes and words changed, cut off, or made longer. */
function fuzzed(random: Random): Buffer {
  const opcode = random.pick(opcodes)
  if (random.below(5) === 0) {
    const noise = random.bytes(random.below(300))
    if (noise.length >= 8 && random.below(2) === 0) noise.writeUInt32LE(opcode, 4)
    return noise
  }
  const node = BigInt(random.below(100))
  const unique = BigInt(random.below(2 ** 31)) | (random.below(8) === 0 ? RESENT : 0n)
  let message = request(opcode, validBody(opcode, node), { node, unique, uid: random.below(3) })
  for (let changes = random.below(6); changes > 0; changes -= 1) message = bend(message, random)
  return message
}

function bend(message: Buffer, random: Random): Buffer {
  const at = random.below(message.length)
  switch (random.below(5)) {
    case 0:
      message[at] = random.below(256)
      return message
    case 1:
      message[at] = (message[at] ?? 0) ^ (1 << random.below(8))
      return message
    case 2:
      if (at <= message.length - 4) message.writeUInt32LE(random.pick(EDGES), at & ~3)
      return message
    case 3:
      return message.subarray(0, Math.max(at, 1))
    default:
      return Buffer.concat([message, random.bytes(random.below(64))])
  }
}

/** What handle() promises, whatever it was given. */
function checkAnswer({ protocol, request: into, reply }: Wire, message: Buffer): void {
  message.copy(into)
  const length = protocol.handle(message.length)
  if (message.length < Size.inHeader) {
    expect(length).toBe(0)
    return
  }
  if (SILENT.includes(message.readUInt32LE(4))) {
    expect(length).toBe(0)
    return
  }
  const head = [reply.readUInt32LE(0), reply.readUInt32LE(8), reply.readUInt32LE(12)]
  const wanted = [length, message.readUInt32LE(8), message.readUInt32LE(12)]
  const error = reply.readInt32LE(4)
  const isWhole = head.every((value, i) => value === wanted[i]) && length >= 16 && length <= CAPACITY
  if (isWhole && error <= 0 && error > -4096 && (error === 0 || length === 16)) return
  expect({ head, error }).toEqual({ head: wanted, error: "0 to -4095, with a payload only at 0" })
}

function repeat(cases: number, target: Wire, make: (random: Random) => Buffer): void {
  const random = new Random(seed)
  for (let i = 0; i < cases; i += 1) {
    const message = make(random)
    try {
      checkAnswer(target, message)
    } catch (cause) {
      throw new Error(`case ${i} of seed ${seed}: ${message.toString("hex")}`, { cause })
    }
    target.log.lines.length = 0
  }
}

test("no byte sequence makes the protocol throw, answer twice, or answer somebody else", () => {
  repeat(runs(20_000), wire(fakeOperations().operations), fuzzed)
})

test("the same holds where nothing was agreed on OPEN", () => {
  repeat(runs(3000), wire(fakeOperations().operations, { openIsAsked: false }), fuzzed)
})

test("random requests leave a real store whole, through restarts too", () => {
  using target = new TestFileSystem()
  const resumed = { writeback: false, openIsAsked: true, minor: 45, flags: Flag.SETXATTR_EXT }
  let succeeded = 0
  const rounds = runs(4)
  for (let round = 0; round < rounds; round += 1) {
    const random = new Random(seed + round)
    const client = new Client(random)
    const connection = wire(target.fs, { resumed })
    for (let i = 0; i < 500; i += 1) {
      const message = random.below(6) === 0 ? fuzzed(random) : client.ask()
      checkAnswer(connection, message)
      const isAnswered = message.length >= Size.inHeader && connection.reply.readInt32LE(4) === 0
      if (isAnswered) succeeded += 1
      if (isAnswered) client.hear(message, connection.reply.subarray(16, connection.reply.readUInt32LE(0)))
    }
    expect(brokenInvariants(target.directory), `round ${round} of seed ${seed}`).toEqual([])
    target.restart()
    target.store.transact(() => undefined)
    expect(brokenInvariants(target.directory), `after restart ${round} of seed ${seed}`).toEqual([])
  }
  expect(succeeded).toBeGreaterThan(rounds * 100)
})
