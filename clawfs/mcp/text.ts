/** Reading text in bounded amounts: whole files to be edited, and ranges of lines of files of any size. */
import { isUtf8 } from "node:buffer"
import { readSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import type { Descriptor } from "../sys/descriptor.ts"
import { explained } from "./failure.ts"

/** A file with a NUL byte in its first part is taken for binary, as git and grep do. */
const BINARY_PROBE_BYTES = 8 * 1024
const SCAN_CHUNK_BYTES = 256 * 1024
const NEWLINE = 0x0a

/** How much of a file is searched for the first line that is asked for. */
export const MAX_SCAN_BYTES = 1024 ** 3
/** The largest file that is read as a whole. */
export const MAX_WHOLE_BYTES = 16 * 1024 * 1024
/** The most text that one call answers with. */
export const MAX_TEXT_BYTES = 64 * 1024
export const MAX_LINES = 2000

export interface Range {
  /** From 1. */
  readonly first: number
  /** Included; undefined: to the end. */
  readonly last: number | undefined
}

export interface Lines {
  readonly text: string
  readonly first: number
  /** The last line that is in `text`; one less than `first` for none. */
  readonly last: number
  /** Nothing follows. */
  readonly isEnd: boolean
  /** The only line of `text` is longer than a call may answer with, and cut off. */
  readonly isLineCut: boolean
  /** False: bytes that are no UTF-8 were replaced by U+FFFD. */
  readonly isUtf8: boolean
}

/** Lines of an open file, at most `MAX_LINES` and `MAX_TEXT_BYTES` of them. Throws a `Fault` for a binary file. */
export function readLines(file: Descriptor, path: string, { first, last }: Range): Lines {
  requireText(readAt(file, path, 0, BINARY_PROBE_BYTES), path)
  const start = offsetOfLine(file, path, first)
  const bytes = readAt(file, path, start, MAX_TEXT_BYTES + 1)
  requireText(bytes, path)
  const count = Math.min(MAX_LINES, (last ?? Infinity) - first + 1)
  const { end, lines, isLineCut } = cutLines(bytes, count)
  const text = bytes.subarray(0, end)
  return {
    ...{ text: text.toString(), first, last: first + lines - 1, isLineCut },
    isEnd: end === bytes.length && bytes.length <= MAX_TEXT_BYTES,
    isUtf8: isUtf8(text),
  }
}

/** The text of an open file. Throws a `Fault` if it is not wholly UTF-8, or too large to be edited. */
export function readWhole(file: Descriptor, path: string): string {
  if (file.stat().size > MAX_WHOLE_BYTES) throw tooLarge(path)
  const bytes = readAt(file, path, 0, MAX_WHOLE_BYTES + 1)
  if (bytes.length > MAX_WHOLE_BYTES) throw tooLarge(path)
  requireText(bytes, path)
  if (!isUtf8(bytes)) throw new Fault("invalid", `${path} is not UTF-8, so it can't be edited without damage`)
  return bytes.toString()
}

function tooLarge(path: string): Fault {
  return new Fault(
    "invalid",
    `${path} is larger than ${MAX_WHOLE_BYTES / 1024 ** 2} MiB, which is the most for this tool`,
  )
}

function requireText(bytes: Buffer, path: string): void {
  if (bytes.includes(0)) throw new Fault("invalid", `${path} is a binary file, only text can be shown`)
}

/** Up to `count` bytes; fewer only at the end of the file. */
function readAt(file: Descriptor, path: string, position: number, count: number): Buffer {
  const bytes = Buffer.alloc(Math.min(count, SCAN_CHUNK_BYTES))
  const pieces: Buffer[] = []
  for (let got = 0; got < count;) {
    const wanted = Math.min(bytes.length, count - got)
    const read = explained(path, () => readSync(file.fd, bytes, 0, wanted, position + got))
    if (read === 0) break
    pieces.push(Buffer.from(bytes.subarray(0, read)))
    got += read
  }
  return Buffer.concat(pieces)
}

/** Where line `line` begins. Throws a `Fault` if the file ends before it. */
function offsetOfLine(file: Descriptor, path: string, line: number): number {
  let position = 0
  let behind = 1
  let isOpen = false
  while (behind < line) {
    const chunk = readAt(file, path, position, SCAN_CHUNK_BYTES)
    if (chunk.length === 0) {
      const lines = behind - 1 + (isOpen ? 1 : 0)
      throw new Fault("invalid", `${path} has only ${lines} ${lines === 1 ? "line" : "lines"}`)
    }
    let at = 0
    for (; behind < line; behind += 1) {
      const newline = chunk.indexOf(NEWLINE, at)
      if (newline < 0) break
      at = newline + 1
    }
    if (behind === line) return requireContent(file, path, position + at, line)
    isOpen = at < chunk.length
    position += chunk.length
    if (position >= MAX_SCAN_BYTES)
      throw new Fault(
        "invalid",
        `line ${line} of ${path} lies behind the first GiB, which is as far as is looked`,
      )
  }
  return 0
}

/** A line begins behind the last newline only if something follows. */
function requireContent(file: Descriptor, path: string, position: number, line: number): number {
  if (readAt(file, path, position, 1).length > 0) return position
  throw new Fault("invalid", `${path} has only ${line - 1} ${line === 2 ? "line" : "lines"}`)
}

/** How much of `bytes` is `count` whole lines that fit. */
function cutLines(bytes: Buffer, count: number): { end: number; lines: number; isLineCut: boolean } {
  let end = 0
  let lines = 0
  while (lines < count && end < bytes.length) {
    const newline = bytes.indexOf(NEWLINE, end)
    const next = newline < 0 ? bytes.length : newline + 1
    if (next > MAX_TEXT_BYTES) break
    end = next
    lines += 1
  }
  if (lines > 0 || bytes.length === 0) return { end, lines, isLineCut: false }
  return { end: characterBoundary(bytes, MAX_TEXT_BYTES), lines: 1, isLineCut: true }
}

/** The last place up to `end` that is not inside of a UTF-8 character. */
function characterBoundary(bytes: Buffer, end: number): number {
  let at = end
  while (at > end - 4 && ((bytes[at] ?? 0) & 0xc0) === 0x80) at -= 1
  return at
}

/** Lines without their ends; a newline at the end of the text begins no further line. */
export function linesOf(text: string): string[] {
  const lines = text.split("\n")
  if (lines.at(-1) === "") lines.pop()
  return lines
}

/** As `cat -n` shows lines, which is what models know. */
export function numbered(lines: readonly string[], first: number): string {
  return lines.map((line, at) => `${String(first + at).padStart(6)}\t${line}`).join("\n")
}
