/** What can happen to the bytes of a file: one damage for every number below `countOf`. */
import type { Image } from "./image.ts"

export const KINDS = ["flip", "truncate", "zero", "swap"] as const
export type Kind = (typeof KINDS)[number]

export interface Damage {
  readonly kind: Kind
  readonly file: string
  /** The byte, the length or the sector. */
  readonly at: number
  /** flip: the bits. swap: the other sector. */
  readonly other: number
}

const SECTOR = 512

function sectors(bytes: Buffer): number {
  return Math.ceil(bytes.length / SECTOR)
}

/** How many damages of a kind a file can have. A flip of every bit would be eight times as many: one bit a byte, by turns. */
function countIn(kind: Kind, bytes: Buffer): number {
  switch (kind) {
    case "flip":
    case "truncate":
      return bytes.length
    case "zero":
      return sectors(bytes)
    case "swap":
      return sectors(bytes) < 2 ? 0 : sectors(bytes)
  }
}

export function countOf(image: Image, kind: Kind): number {
  return [...image.values()].reduce((sum, bytes) => sum + countIn(kind, bytes), 0)
}

/** The damage of number `index`. `turn` decides what else is free: the bit, the other sector. */
export function damageOf(image: Image, kind: Kind, index: number, turn: number): Damage {
  let at = index
  for (const [file, bytes] of image) {
    const count = countIn(kind, bytes)
    if (at >= count) {
      at -= count
      continue
    }
    if (kind === "flip") return { kind, file, at, other: flipOf(turn) }
    const other = kind === "swap" ? (at + 1 + (turn % (count - 1))) % count : 0
    return { kind, file, at, other }
  }
  throw new RangeError(`no damage ${index} of kind ${kind}`)
}

/** One bit, or all of them. */
function flipOf(turn: number): number {
  const choice = turn % 9
  return choice === 8 ? 0xff : 1 << choice
}

/** The image with that damage; the other files are the same buffers. Undefined where the damage changes nothing. */
export function damaged(image: Image, damage: Damage): Image | undefined {
  const before = image.get(damage.file) ?? Buffer.alloc(0)
  const bytes = apply(before, damage)
  if (bytes.equals(before)) return undefined
  return new Map([...image].map(([name, kept]) => [name, name === damage.file ? bytes : kept]))
}

function apply(before: Buffer, { kind, at, other }: Damage): Buffer {
  if (kind === "truncate") return before.subarray(0, at)
  const bytes = Buffer.from(before)
  if (kind === "flip") bytes[at] = (bytes[at] ?? 0) ^ other
  else if (kind === "zero") sector(bytes, at).fill(0)
  else {
    const [one, two] = [sector(before, at), sector(before, other)]
    two.copy(bytes, at * SECTOR, 0, one.length)
    one.copy(bytes, other * SECTOR, 0, two.length)
  }
  return bytes
}

function sector(bytes: Buffer, at: number): Buffer {
  return bytes.subarray(at * SECTOR, (at + 1) * SECTOR)
}

export function nameOf({ kind, file, at, other }: Damage): string {
  switch (kind) {
    case "flip":
      return `${file}: byte ${at} ^ 0x${other.toString(16)}`
    case "truncate":
      return `${file}: cut to ${at} bytes`
    case "zero":
      return `${file}: sector ${at} zeroed`
    case "swap":
      return `${file}: sectors ${at} and ${other} swapped`
  }
}
