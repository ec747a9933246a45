/** Bytes, numbers, words and identifiers that follow from a label. */
import { createHash } from "node:crypto"

export function bytesOf(label: string, length: number): Buffer {
  const blocks: Buffer[] = []
  for (let at = 0; at * 32 < length; at += 1)
    blocks.push(createHash("sha256").update(`${label} ${at}`).digest())
  return Buffer.concat(blocks).subarray(0, length)
}

export function numberOf(label: string, below: number): number {
  return bytesOf(label, 4).readUInt32BE(0) % below
}

export function uuidOf(label: string): string {
  const hex = bytesOf(`uuid ${label}`, 16).toString("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

const WORDS =
  "agent budget supplier harbour winter ledger signal orchard river copper lantern meadow tunnel violet".split(
    " ",
  )

export function textOf(label: string, words: number): string {
  const bytes = bytesOf(`text ${label}`, words)
  return [...bytes].map((byte) => WORDS[byte % WORDS.length] ?? "").join(" ")
}

/** Little-endian floats between -1 and 1 as pgvector reads them. */
export function vectorOf(label: string, dimensions: number): string {
  const bytes = bytesOf(`vector ${label}`, dimensions * 2)
  const numbers = Array.from(
    { length: dimensions },
    (_, at) => (bytes.readUInt16BE(at * 2) - 32_768) / 32_768,
  )
  return `[${numbers.join(",")}]`
}

/** A time that rises with `at`, with microseconds. */
export function timeOf(at: number): string {
  return new Date(Date.UTC(2026, 0, 1) + at * 61_000)
    .toISOString()
    .replace(/\.\d+Z$/, `.${String(at % 1000).padStart(3, "0")}456Z`)
}
