/**
 * `.env` files: NAME=VALUE lines as shells and dotenv read them. Single quotes and backquotes keep everything as it is, double
 * quotes know \n, \r, \t, \", \\, \$ and \`; quoted values may have several lines. Nothing is expanded: ${OTHER} stays as it is.
 * Bytes in, bytes out: strings can't be wiped.
 */
import { Fault } from "../../../core/fault.ts"
import type { ForeignValue, ForeignValues } from "./value.ts"

const NAME = /^(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*$/
const BYTE = {
  TAB: 0x09,
  NEWLINE: 0x0a,
  RETURN: 0x0d,
  SPACE: 0x20,
  QUOTE: 0x22,
  HASH: 0x23,
  DOLLAR: 0x24,
  APOSTROPHE: 0x27,
  EQUALS: 0x3d,
  BACKSLASH: 0x5c,
  BACKQUOTE: 0x60,
} as const
const ESCAPES: ReadonlyMap<number, number> = new Map<number, number>([
  [0x6e, BYTE.NEWLINE],
  [0x72, BYTE.RETURN],
  [0x74, BYTE.TAB],
  [BYTE.QUOTE, BYTE.QUOTE],
  [BYTE.BACKSLASH, BYTE.BACKSLASH],
  [BYTE.DOLLAR, BYTE.DOLLAR],
  [BYTE.BACKQUOTE, BYTE.BACKQUOTE],
])

/** The values, of a name that comes twice the last. Throws `Fault("invalid")`, with the line's number, for anything else. */
export function readEnv(bytes: Buffer): ForeignValues {
  const found = new Map<string, ForeignValue>()
  const notes: string[] = []
  for (let at = 0; at < bytes.length;) {
    const start = skip(bytes, at, isBlank)
    if (start === bytes.length) break
    if (bytes[start] === BYTE.HASH) {
      at = endOfLine(bytes, start)
      continue
    }
    const line = lineOf(bytes, start)
    const equals = bytes.indexOf(BYTE.EQUALS, start)
    // What stands before the sign is shown to nobody: in a line without one it may be anything.
    const source =
      equals < 0 || equals > endOfLine(bytes, start)
        ? undefined
        : NAME.exec(bytes.toString("latin1", start, equals))?.[1]
    if (source === undefined) throw new Fault("invalid", `line ${line} is not NAME=VALUE`)
    const { value, next } = valueAt(bytes, skip(bytes, equals + 1, isSpace), line)
    at = next
    found.get(source)?.value.fill(0)
    found.delete(source)
    if (value.length === 0) notes.push(`${source} is empty and was left out`)
    else found.set(source, { source, value })
  }
  return { values: [...found.values()], notes }
}

function valueAt(bytes: Buffer, at: number, line: number): { value: Buffer; next: number } {
  const quote = bytes[at]
  if (quote !== BYTE.QUOTE && quote !== BYTE.APOSTROPHE && quote !== BYTE.BACKQUOTE) return bare(bytes, at)
  const { value, close } =
    quote === BYTE.QUOTE ? escaped(bytes, at + 1) : literal(bytes, at + 1, bytes.indexOf(quote, at + 1))
  if (close < 0) throw new Fault("invalid", `line ${line}: a quote is not closed`)
  const rest = skip(bytes, close + 1, isSpace)
  const next = endOfLine(bytes, rest)
  if (bytes[rest] !== BYTE.HASH && skip(bytes, rest, isBlank) < next)
    throw new Fault("invalid", `line ${lineOf(bytes, close)}: something stands behind the quote`)
  return { value, next }
}

/** Up to the line's end, or to a # with white space before it. */
function bare(bytes: Buffer, at: number): { value: Buffer; next: number } {
  const next = endOfLine(bytes, at)
  let end = next
  for (
    let hash = bytes.indexOf(BYTE.HASH, at);
    hash >= 0 && hash < end;
    hash = bytes.indexOf(BYTE.HASH, hash + 1)
  )
    if (hash === at || isSpace(bytes[hash - 1])) end = hash
  while (end > at && isBlank(bytes[end - 1])) end -= 1
  return { value: copied(bytes, at, end), next }
}

function literal(bytes: Buffer, from: number, close: number): { value: Buffer; close: number } {
  return { value: copied(bytes, from, Math.max(from, close)), close }
}

function escaped(bytes: Buffer, from: number): { value: Buffer; close: number } {
  const room = copied(bytes, from, bytes.length)
  let length = 0
  for (let at = from; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0
    if (byte === BYTE.QUOTE) {
      const value = copied(room, 0, length)
      room.fill(0)
      return { value, close: at }
    }
    const meant = byte === BYTE.BACKSLASH ? ESCAPES.get(bytes[at + 1] ?? 0) : undefined
    if (meant !== undefined) at += 1
    room[length++] = meant ?? byte
  }
  room.fill(0)
  return { value: room, close: -1 }
}

function copied(bytes: Buffer, from: number, to: number): Buffer {
  const copy = Buffer.from(new ArrayBuffer(to - from))
  bytes.copy(copy, 0, from, to)
  return copy
}

function isSpace(byte: number | undefined): boolean {
  return byte === BYTE.SPACE || byte === BYTE.TAB
}

function isBlank(byte: number | undefined): boolean {
  return isSpace(byte) || byte === BYTE.NEWLINE || byte === BYTE.RETURN
}

function skip(bytes: Buffer, at: number, is: (byte: number | undefined) => boolean): number {
  while (at < bytes.length && is(bytes[at])) at += 1
  return at
}

function endOfLine(bytes: Buffer, at: number): number {
  const newline = bytes.indexOf(BYTE.NEWLINE, at)
  return newline < 0 ? bytes.length : newline
}

function lineOf(bytes: Buffer, at: number): number {
  let line = 1
  for (let newline = bytes.indexOf(BYTE.NEWLINE); newline >= 0 && newline < at; line += 1)
    newline = bytes.indexOf(BYTE.NEWLINE, newline + 1)
  return line
}
