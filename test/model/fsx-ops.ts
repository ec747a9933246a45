/** The operations of fsx: plain data that can be printed, replayed and left out one by one. */
import type { Random } from "./random.ts"

/** Bytes from the start of the file or, when `fromEnd`, from its end at that moment. */
export interface Position {
  readonly offset: number
  readonly fromEnd: boolean
}

/** 0 is the file itself, 1 its companion for copies between files. */
export type FileIndex = 0 | 1

export const allocations = ["allocate", "keepSize", "punch", "zero", "zeroKeepSize"] as const
export type Allocation = (typeof allocations)[number]

export type Operation =
  | { readonly op: "read"; readonly file: FileIndex; readonly at: Position; readonly length: number }
  | {
      readonly op: "write"
      readonly file: FileIndex
      readonly at: Position
      readonly length: number
      readonly seed: number
    }
  | { readonly op: "append"; readonly file: FileIndex; readonly length: number; readonly seed: number }
  | { readonly op: "truncate"; readonly file: FileIndex; readonly at: Position; readonly byPath: boolean }
  | { readonly op: "mapRead"; readonly file: FileIndex; readonly at: Position; readonly length: number }
  | {
      readonly op: "mapWrite"
      readonly file: FileIndex
      readonly at: Position
      readonly length: number
      readonly seed: number
      readonly sync: boolean
    }
  | {
      readonly op: "fallocate"
      readonly file: FileIndex
      readonly mode: Allocation
      readonly at: Position
      readonly length: number
    }
  | {
      readonly op: "copy"
      readonly file: FileIndex
      readonly to: FileIndex
      readonly at: Position
      readonly toAt: Position
      readonly length: number
    }
  | { readonly op: "sync"; readonly file: FileIndex; readonly dataOnly: boolean }
  | { readonly op: "seek"; readonly file: FileIndex; readonly at: Position }
  | { readonly op: "reopen"; readonly file: FileIndex }
  | { readonly op: "drop"; readonly file: FileIndex; readonly everything: boolean }
  | { readonly op: "verify"; readonly file: FileIndex }

const weights = {
  read: 15,
  write: 20,
  append: 6,
  truncate: 8,
  mapRead: 6,
  mapWrite: 7,
  fallocate: 10,
  copy: 8,
  sync: 3,
  seek: 6,
  reopen: 3,
  drop: 4,
  verify: 2,
} as const

const boundaries = [0, 4096, 16_384, 131_072, 1_048_576]

/** Where filesystems change their ways: at, just below and just above a multiple of a block size. */
function nearBoundary(random: Random, limit: number): number {
  const unit = random.pick(boundaries)
  const near = unit * (1 + random.below(3)) + random.pick([0, 0, -1, 1, -7, 13, random.below(600) - 300])
  return Math.min(Math.max(near, 0), limit)
}

const someOffset = (random: Random, limit: number): number =>
  random.chance(0.6) ? nearBoundary(random, limit) : random.below(limit)

function somePosition(random: Random, limit: number): Position {
  if (random.chance(0.25))
    return { offset: random.below(random.pick([3, 5000, 140_000])) * -1, fromEnd: true }
  if (random.chance(0.1)) return { offset: random.below(random.pick([3, 5000, 140_000])), fromEnd: true }
  return { offset: someOffset(random, limit), fromEnd: false }
}

function someLength(random: Random): number {
  const kind = random.weighted({ tiny: 30, small: 30, boundary: 30, large: 10 })
  if (kind === "tiny") return 1 + random.below(64)
  if (kind === "small") return 1 + random.below(9000)
  if (kind === "boundary") return Math.max(1, nearBoundary(random, 270_000))
  return 1 + random.below(600_000)
}

export function someOperation(random: Random, limit: number): Operation {
  const op = random.weighted(weights)
  const file: FileIndex = random.chance(0.85) ? 0 : 1
  const at = somePosition(random, limit)
  const length = someLength(random)
  const seed = random.below(1_000_000)
  switch (op) {
    case "read":
    case "mapRead":
      return { op, file, at, length }
    case "write":
      return { op, file, at, length, seed }
    case "append":
      return { op, file, length, seed }
    case "truncate":
      return { op, file, at, byPath: random.chance(0.3) }
    case "mapWrite":
      return { op, file, at, length, seed, sync: random.chance(0.5) }
    case "fallocate":
      return { op, file, mode: random.pick(allocations), at, length }
    case "copy":
      return { op, file, to: random.chance(0.5) ? file : 1, at, toAt: somePosition(random, limit), length }
    case "sync":
      return { op, file, dataOnly: random.chance(0.5) }
    case "seek":
      return { op, file, at }
    case "drop":
      return { op, file, everything: random.chance(0.3) }
    case "reopen":
    case "verify":
      return { op, file }
  }
}

/** Smaller forms of an operation, for a failure report that is easy to read. */
export function simplerOperations(operation: Operation): Operation[] {
  const simpler: Operation[] = []
  if ("length" in operation) {
    for (const length of [1, 10, 4096, Math.ceil(operation.length / 2)]) {
      if (length < operation.length) simpler.push({ ...operation, length })
    }
  }
  if ("at" in operation && operation.at.offset > 0 && !operation.at.fromEnd) {
    const { offset } = operation.at
    for (const rounded of [0, offset - (offset % 4096)]) {
      if (rounded < offset) simpler.push({ ...operation, at: { offset: rounded, fromEnd: false } })
    }
  }
  return simpler
}
