/**
 * Names are bytes, JSON has strings. A name is shown as UTF-8; bytes that are none, and control characters, as `\xff`. A
 * path that a client sends is read the same way, so that every file can be named. The backslash of a name that holds the
 * four characters `\xff` itself is shown as `\x5c`.
 */
import { isUtf8 } from "node:buffer"

const ESCAPE = /\\x([0-9a-f]{2})/g
const ESCAPE_LENGTH = 4

/** A name or path as text, from which `bytesOf` makes it again. */
export function shown(name: Uint8Array): string {
  const bytes = Buffer.from(name)
  let text = ""
  for (let at = 0; at < bytes.length;) {
    const length = characterLength(bytes, at)
    const character = bytes.subarray(at, at + Math.max(length, 1))
    text += length > 0 && isPlain(bytes, at, character) ? character.toString() : escaped(character)
    at += character.length
  }
  return text
}

/** The bytes of a path that a client has sent. */
export function bytesOf(path: string): Buffer {
  const pieces: Buffer[] = []
  let at = 0
  for (const match of path.matchAll(ESCAPE)) {
    pieces.push(Buffer.from(path.slice(at, match.index)), Buffer.of(parseInt(match[1] ?? "", 16)))
    at = match.index + match[0].length
  }
  return Buffer.concat([...pieces, Buffer.from(path.slice(at))])
}

function escaped(bytes: Buffer): string {
  return [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")
}

/** Neither a control character, nor the backslash of what would be read as an escape. */
function isPlain(bytes: Buffer, at: number, character: Buffer): boolean {
  if (/\p{Cc}/u.test(character.toString())) return false
  return bytes.toString("latin1", at, at + ESCAPE_LENGTH).search(ESCAPE) < 0
}

/** How many bytes the UTF-8 character at `at` has; 0: none begins there. */
function characterLength(bytes: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length += 1)
    if (isUtf8(bytes.subarray(at, at + length))) return length
  return 0
}
