/**
 * What a run has made: `system/migrations/RUN/ledger.jsonl`, a line for each directory before it is made, for each file after it
 * has its name, for each secret after it was read back. A killed run goes on from it, and a rollback takes back what it says.
 * In memory is only where a key's newest line stands: some 100 bytes an item.
 */
import { createHash } from "node:crypto"
import { fstatSync, ftruncateSync, readSync, writeSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import { flock } from "../sys/libc.ts"
import type { Descriptor } from "./descriptor.ts"

/**
 * made: the run wrote it. same: it was there before, with these bytes. replaced: something else was there, and lies in the
 * run's `replaced` now. conflict: something else is there, and stays. removed: a rollback took it away.
 */
export type FileState = "made" | "same" | "replaced" | "conflict" | "removed"

export interface FileLine {
  readonly key: string
  readonly path: string
  readonly state: FileState
  readonly sha256: string
  readonly bytes: number
  /** The item's fingerprint when it was placed, or seen in its place. */
  readonly source?: string
}
/** Whether the run has a file of it now. */
export function isPlaced(line: FileLine | undefined): line is FileLine {
  return line !== undefined && line.state !== "conflict" && line.state !== "removed"
}

export interface SecretLine {
  readonly secret: string
  readonly name: string
  readonly version: number
}
export interface DirectoryLine {
  readonly directory: string
}
export type Line = FileLine | SecretLine | DirectoryLine

const LOCK_EX_NB = 6
const CHUNK = 256 * 1024
const MOST_LINE_BYTES = 64 * 1024
const USUAL_LINE_BYTES = 1024
const NEWLINE = 0x0a

export class Ledger implements Disposable {
  readonly #file: Descriptor
  readonly #offsets = new Map<number, number>()
  #end = 0
  readonly #line = Buffer.alloc(MOST_LINE_BYTES)

  /** Takes the descriptor over. Throws `Fault("busy")` while another process has it. */
  constructor(file: Descriptor) {
    this.#file = file
    if (flock(file.fd, LOCK_EX_NB) !== 0) {
      file[Symbol.dispose]()
      throw new Fault("busy", "another command works on this run")
    }
    this.#end = this.#load()
    // A line that a kill cut off.
    if (fstatSync(file.fd).size > this.#end) ftruncateSync(file.fd, this.#end)
  }

  /** What is known of an item. */
  file(key: string): FileLine | undefined {
    const line = this.#newest(key)
    return line !== undefined && "key" in line && line.key === key ? line : undefined
  }

  secret(key: string): SecretLine | undefined {
    const line = this.#newest(`secret ${key}`)
    return line !== undefined && "secret" in line && line.secret === key ? line : undefined
  }

  /** Writes a line, unless the newest of its key says the same. */
  add(line: Line): void {
    const id = idOf(line)
    const known = this.#newest(id)
    const text = `${JSON.stringify(line)}\n`
    if (known !== undefined && `${JSON.stringify(known)}\n` === text) return
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length;) at += writeSync(this.#file.fd, bytes, at)
    this.#offsets.set(numberOf(id), this.#end)
    this.#end += bytes.length
  }

  /** All lines, the newest of each key alone, in the order of the file. */
  *lines(): Generator<Line> {
    for (const { line, offset } of this.#all())
      if (this.#offsets.get(numberOf(idOf(line))) === offset) yield line
  }

  #newest(id: string): Line | undefined {
    const offset = this.#offsets.get(numberOf(id))
    if (offset === undefined) return undefined
    for (const most of [USUAL_LINE_BYTES, MOST_LINE_BYTES]) {
      const bytes = this.#line.subarray(0, Math.min(most, this.#end - offset))
      const length = readSync(this.#file.fd, bytes, 0, bytes.length, offset)
      const end = bytes.subarray(0, length).indexOf(NEWLINE)
      if (end >= 0) return parsed(bytes.toString("utf8", 0, end))
    }
    return undefined
  }

  #load(): number {
    let end = 0
    for (const { line, offset, next } of this.#all()) {
      this.#offsets.set(numberOf(idOf(line)), offset)
      end = next
    }
    return end
  }

  *#all(): Generator<{ line: Line; offset: number; next: number }> {
    let rest: Buffer = Buffer.alloc(0)
    let start = 0
    const chunk = Buffer.alloc(CHUNK)
    for (let at = 0; ;) {
      const count = readSync(this.#file.fd, chunk, 0, CHUNK, at)
      if (count === 0) return
      at += count
      rest = Buffer.concat([rest, chunk.subarray(0, count)])
      for (;;) {
        const end = rest.indexOf(NEWLINE)
        if (end < 0) break
        yield { line: parsed(rest.toString("utf8", 0, end)), offset: start, next: start + end + 1 }
        start += end + 1
        rest = rest.subarray(end + 1)
      }
    }
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]()
  }
}

function parsed(text: string): Line {
  try {
    return JSON.parse(text) as Line
  } catch (cause) {
    throw new Fault("corrupt", "the ledger of the run is damaged", {
      cause,
      hint: "restore it, from a snapshot for example, or begin another run with --run NAME",
    })
  }
}

function idOf(line: Line): string {
  if ("directory" in line) return `directory ${line.directory}`
  return "secret" in line ? `secret ${line.secret}` : line.key
}

/** 48 bits: a line that is found by it is compared with the key. */
function numberOf(id: string): number {
  return createHash("sha256").update(id).digest().readUIntBE(0, 6)
}
