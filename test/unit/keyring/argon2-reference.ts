/**
 * Argon2id as RFC 9106 describes it, for tests: slow, with every parameter, and proven by the RFC's own vector, so that what the
 * keyring computes by libsodium, which takes neither secret, associated data nor lanes, can be compared with the standard.
 */
import { createHash } from "node:crypto"

const BLOCK = 128
const MASK = (1n << 64n) - 1n
const SLICES = 4

export interface Argon2 {
  readonly password: Buffer
  readonly salt: Buffer
  readonly secret?: Buffer
  readonly data?: Buffer
  readonly lanes: number
  readonly passes: number
  readonly memoryKiB: number
  readonly length: number
}

const le32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
const sized = (bytes: Buffer): Buffer => Buffer.concat([le32(bytes.length), bytes])
const blake = (bytes: Buffer): Buffer => createHash("blake2b512").update(bytes).digest()

/** H' of section 3.3, for 64 bytes and more, which is a chain of halves. */
function longHash(input: Buffer, length: number): Buffer {
  const first = Buffer.concat([le32(length), input])
  if (length < 64) throw new Error("BLAKE2b of other lengths is not in node:crypto")
  if (length === 64) return blake(first)
  const parts: Buffer[] = []
  let hash = blake(first)
  let left = length
  for (; left > 64; left -= 32) {
    parts.push(hash.subarray(0, 32))
    hash = blake(hash)
  }
  return Buffer.concat([...parts, hash.subarray(0, left)])
}

type Block = BigUint64Array

function toBlock(bytes: Buffer): Block {
  return BigUint64Array.from({ length: BLOCK }, (_, at) => bytes.readBigUInt64LE(8 * at))
}

const rotate = (value: bigint, by: bigint): bigint => ((value >> by) | (value << (64n - by))) & MASK
const low = (value: bigint): bigint => value & 0xffff_ffffn
const mulAdd = (a: bigint, b: bigint): bigint => (a + b + 2n * low(a) * low(b)) & MASK

function quarter(v: Block, [a, b, c, d]: readonly [number, number, number, number]): void {
  for (const [x, y] of [
    [32n, 24n],
    [16n, 63n],
  ] as const) {
    v[a] = mulAdd(v[a] ?? 0n, v[b] ?? 0n)
    v[d] = rotate((v[d] ?? 0n) ^ (v[a] ?? 0n), x)
    v[c] = mulAdd(v[c] ?? 0n, v[d] ?? 0n)
    v[b] = rotate((v[b] ?? 0n) ^ (v[c] ?? 0n), y)
  }
}

const ROUNDS = [
  ...[
    [0, 4, 8, 12],
    [1, 5, 9, 13],
    [2, 6, 10, 14],
    [3, 7, 11, 15],
  ],
  ...[
    [0, 5, 10, 15],
    [1, 6, 11, 12],
    [2, 7, 8, 13],
    [3, 4, 9, 14],
  ],
]

/** P of section 3.6 over sixteen words of `v`. */
function permute(v: Block, at: readonly number[]): void {
  for (const round of ROUNDS) {
    const [a = 0, b = 0, c = 0, d = 0] = round.map((each) => at[each] ?? 0)
    quarter(v, [a, b, c, d])
  }
}

/** G of section 3.5. */
function compress(x: Block, y: Block): Block {
  const r = x.map((word, at) => word ^ (y[at] ?? 0n))
  const z = Uint32Array.from({ length: 8 }, (_, i) => i)
  const q = r.slice()
  for (const row of z)
    permute(
      q,
      Array.from({ length: 16 }, (_, at) => 16 * row + at),
    )
  for (const column of z)
    permute(
      q,
      Array.from({ length: 16 }, (_, at) => 16 * (at >> 1) + 2 * column + (at & 1)),
    )
  return q.map((word, at) => word ^ (r[at] ?? 0n))
}

/** The tag. `length`: 64 or more, or 32, which is H' of BLAKE2b with 256 bits. */
export function argon2id(options: Argon2, hash32: (bytes: Buffer) => Buffer): Buffer {
  const { password, salt, secret = Buffer.alloc(0), data = Buffer.alloc(0), lanes, passes, length } = options
  const header = [lanes, length, options.memoryKiB, passes, 0x13, 2].map(le32)
  const h0 = blake(Buffer.concat([...header, ...[password, salt, secret, data].map(sized)]))
  const columns = SLICES * Math.floor(options.memoryKiB / (SLICES * lanes))
  const memory = Array.from({ length: lanes }, (_, lane) =>
    Array.from({ length: columns }, (__, column) =>
      column < 2
        ? toBlock(longHash(Buffer.concat([h0, le32(column), le32(lane)]), 1024))
        : new BigUint64Array(BLOCK),
    ),
  )
  const segment = columns / SLICES
  for (let pass = 0; pass < passes; pass += 1)
    for (let slice = 0; slice < SLICES; slice += 1)
      for (let lane = 0; lane < lanes; lane += 1)
        fillSegment(memory, { pass, slice, lane, segment, columns, lanes, passes })
  const last = memory.map((lane) => lane[columns - 1] ?? new BigUint64Array(BLOCK))
  const sum = last.reduce((a, b) => a.map((word, at) => word ^ (b[at] ?? 0n)))
  const bytes = Buffer.alloc(1024)
  sum.forEach((word, at) => bytes.writeBigUInt64LE(word, 8 * at))
  return length === 32 ? hash32(Buffer.concat([le32(32), bytes])) : longHash(bytes, length)
}

interface Position {
  readonly pass: number
  readonly slice: number
  readonly lane: number
  readonly segment: number
  readonly columns: number
  readonly lanes: number
  readonly passes: number
}

function fillSegment(memory: Block[][], position: Position): void {
  const { pass, slice, lane, segment, columns, lanes, passes } = position
  const isIndependent = pass === 0 && slice < 2
  const zero = new BigUint64Array(BLOCK)
  const input = new BigUint64Array(BLOCK)
  input.set([pass, lane, slice, lanes * columns, passes, 2].map(BigInt))
  let addresses: Block = zero
  for (let index = 0; index < segment; index += 1) {
    if (isIndependent && index % BLOCK === 0) {
      input[6] = (input[6] ?? 0n) + 1n
      addresses = compress(zero, compress(zero, input))
    }
    const column = slice * segment + index
    if (pass === 0 && column < 2) continue
    const own = memory[lane] ?? []
    const before = own[(column + columns - 1) % columns] ?? zero
    const random = (isIndependent ? addresses[index % BLOCK] : before[0]) ?? 0n
    const [otherLane, otherColumn] = reference(position, index, random)
    const made = compress(before, memory[otherLane]?.[otherColumn] ?? zero)
    const old = own[column] ?? zero
    own[column] = pass === 0 ? made : made.map((word, at) => word ^ (old[at] ?? 0n))
  }
}

/** Section 3.4: which block is mixed in. */
function reference(position: Position, index: number, random: bigint): [lane: number, column: number] {
  const { pass, slice, lane, segment, columns, lanes } = position
  const other = pass === 0 && slice === 0 ? lane : Number((random >> 32n) % BigInt(lanes))
  const finished = pass === 0 ? slice * segment : columns - segment
  const size = other === lane ? finished + index - 1 : finished - (index === 0 ? 1 : 0)
  const j1 = low(random)
  const x = (j1 * j1) >> 32n
  const relative = size - 1 - Number((BigInt(size) * x) >> 32n)
  const start = pass === 0 || slice === SLICES - 1 ? 0 : (slice + 1) * segment
  return [other, (start + relative) % columns]
}
