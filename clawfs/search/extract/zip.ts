/**
 * Entries of a zip archive, inflated under limits: an entry and the archive as a whole give out a bounded number of bytes
 * whatever they declare. Archives inside are not looked into.
 */
import { Inflate } from "fflate"
import { Refused } from "./extraction.ts"
import type { Limits } from "./limits.ts"
import { bufferSource } from "./source.ts"
import { readZipDirectory, type ZipEntry } from "./zip-directory.ts"

/** Deflate makes at most 1032 bytes of one, so what is inflated beyond a limit before it is noticed is below 4 MiB. */
const SLICE = 4096
const LOCAL_HEADER_SIZE = 30
const LOCAL_HEADER = 0x04034b50

export interface EntryText {
  readonly bytes: Buffer
  /** False when a limit or damage cut it off. */
  readonly isWhole: boolean
}

export class ZipReader {
  readonly #bytes: Buffer
  readonly #entries: ReadonlyMap<string, ZipEntry>
  readonly #limits: Limits
  #inflated = 0

  /** `Refused` when `bytes` are no archive. */
  constructor(bytes: Buffer, limits: Limits) {
    this.#bytes = bytes
    this.#limits = limits
    this.#entries = readZipDirectory(bufferSource(bytes), limits)
  }

  get names(): string[] {
    return [...this.#entries.keys()]
  }

  has(name: string): boolean {
    return this.#entries.has(name)
  }

  /**
   * An entry's content, up to the limits. undefined when there is no such entry. `Refused` when it is encrypted, or nothing of
   * it can be read.
   */
  read(name: string): EntryText | undefined {
    const entry = this.#entries.get(name)
    if (entry === undefined) return undefined
    if (entry.isEncrypted) throw new Refused("encrypted-document", "an archive with a password")
    const room = Math.min(this.#limits.maxEntryBytes, this.#limits.maxInflatedBytes - this.#inflated)
    if (room <= 0) return { bytes: Buffer.alloc(0), isWhole: false }
    const data = this.#dataOf(entry)
    const result = entry.method === 0 ? cut(data, room) : inflate(data, entry, room)
    this.#inflated += result.bytes.length
    const isComplete = data.length === entry.compressed && result.isWhole
    return { bytes: result.bytes, isWhole: isComplete }
  }

  #dataOf(entry: ZipEntry): Buffer {
    const at = entry.headerAt
    if (at + LOCAL_HEADER_SIZE > this.#bytes.length || this.#bytes.readUInt32LE(at) !== LOCAL_HEADER)
      throw new Refused("broken", "an archive whose directory points nowhere")
    const from =
      at + LOCAL_HEADER_SIZE + this.#bytes.readUInt16LE(at + 26) + this.#bytes.readUInt16LE(at + 28)
    return this.#bytes.subarray(from, from + entry.compressed)
  }
}

function cut(data: Buffer, room: number): EntryText {
  return { bytes: data.subarray(0, room), isWhole: data.length <= room }
}

const DEFLATE = 8

function inflate(data: Buffer, entry: ZipEntry, room: number): EntryText {
  if (entry.method !== DEFLATE)
    throw new Refused("broken", `an archive with compression method ${entry.method}`)
  const parts: Uint8Array[] = []
  let length = 0
  const inflater = new Inflate((part) => {
    parts.push(part)
    length += part.length
  })
  let isGood = true
  for (let at = 0; at < data.length && length <= room && isGood; at += SLICE) {
    const isLast = at + SLICE >= data.length
    try {
      inflater.push(data.subarray(at, at + SLICE), isLast)
    } catch {
      // Damaged from here on: what came before is still text, and the document says that it is not whole.
      isGood = false
    }
  }
  if (!isGood && length === 0) throw new Refused("broken", "an archive with a damaged entry")
  return { bytes: Buffer.concat(parts).subarray(0, room), isWhole: isGood && length <= room }
}
