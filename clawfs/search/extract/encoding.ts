/**
 * Bytes of a text file to its characters. The encoding is taken from a byte order mark, from being valid UTF-8, from where
 * its NULs are (UTF-16 without a mark), and else from which everyday letters it would have (guess.ts).
 */
import { isUtf8 } from "node:buffer"
import type { Encoding } from "./extraction.ts"
import { decodeLegacy, guessEncoding } from "./guess.ts"

export interface Decoded {
  readonly text: string
  readonly encoding: Encoding
  /** Every byte of the file is accounted for by the text, so offsets can be worked out from it. */
  readonly isExact: boolean
}

const MARKS: readonly (readonly [bytes: Buffer, encoding: Encoding])[] = [
  [Buffer.from([0xef, 0xbb, 0xbf]), { form: "utf-8", label: "utf-8", bom: 3 }],
  // Before UTF-16, whose mark it starts with.
  [Buffer.from([0xff, 0xfe, 0, 0]), { form: "utf-32", label: "utf-32le", bom: 4 }],
  [Buffer.from([0, 0, 0xfe, 0xff]), { form: "utf-32", label: "utf-32be", bom: 4 }],
  [Buffer.from([0xff, 0xfe]), { form: "utf-16", label: "utf-16le", bom: 2 }],
  [Buffer.from([0xfe, 0xff]), { form: "utf-16", label: "utf-16be", bom: 2 }],
]

const UTF_8: Encoding = { form: "utf-8", label: "utf-8", bom: 0 }

/** A file with a wrong byte once in so many is still taken for UTF-8. */
const WRONG_BYTES = 1000

/**
 * The text of `bytes`, or undefined when they are no text.
 *
 * @param isCut the file goes on behind `bytes`: a character that is cut off at the end is left out.
 */
export function decode(bytes: Buffer, isCut = false): Decoded | undefined {
  const marked = MARKS.find(([mark]) => bytes.subarray(0, mark.length).equals(mark))?.[1]
  if (marked !== undefined) return decodeAs(bytes, marked, isCut)
  const whole = isCut ? bytes.subarray(0, wholeUtf8(bytes)) : bytes
  if (isUtf8(whole)) return isBinary(whole) ? withoutMark(bytes, isCut) : exact(whole.toString("utf8"), UTF_8)
  if (isNearlyUtf8(whole)) {
    if (isBinary(whole)) return undefined
    return {
      text: whole.toString("utf8"),
      encoding: { form: "multi-byte", label: "utf-8", bom: 0 },
      isExact: false,
    }
  }
  return withoutMark(bytes, isCut)
}

function exact(text: string, encoding: Encoding): Decoded {
  return { text, encoding, isExact: true }
}

function withoutMark(bytes: Buffer, isCut: boolean): Decoded | undefined {
  const utf16 = utf16Without(bytes)
  if (utf16 !== undefined) return decodeAs(bytes, { form: "utf-16", label: utf16, bom: 0 }, isCut)
  if (isBinary(bytes)) return undefined
  const encoding = guessEncoding(sampleOf(bytes))
  return encoding === undefined ? undefined : decodeAs(bytes, encoding, isCut)
}

function decodeAs(bytes: Buffer, encoding: Encoding, isCut: boolean): Decoded | undefined {
  const body = bytes.subarray(encoding.bom)
  switch (encoding.form) {
    case "utf-8": {
      const whole = isCut ? body.subarray(0, wholeUtf8(body)) : body
      if (isBinary(whole)) return undefined
      return { text: whole.toString("utf8"), encoding, isExact: isUtf8(whole) }
    }
    case "utf-16":
      return checked(decodeUtf16(body, encoding), body.length % 2 === 0 || isCut)
    case "utf-32":
      return checked(decodeUtf32(body, encoding), body.length % 4 === 0 || isCut)
    case "single-byte":
      return exact(decodeLegacy(body, encoding.label), encoding)
    case "multi-byte":
      return { text: decodeLegacy(body, encoding.label), encoding, isExact: false }
  }
}

/** What a mark promised is text only if it has a text's characters; an odd byte at the end stays out of the ranges. */
function checked(decoded: Decoded, isWhole: boolean): Decoded | undefined {
  const sample = decoded.text.slice(0, SAMPLE)
  const odd = countOf(sample, /[\0-\x08\x0e-\x1a\x1c-\x1f\ufffe\uffff\ufffd]/g)
  if (odd > sample.length / 100) return undefined
  return isWhole ? decoded : { ...decoded, isExact: false }
}

const countOf = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0

function decodeUtf16(body: Buffer, encoding: Encoding): Decoded {
  const even = body.subarray(0, body.length & ~1)
  // Swapping is done in place: the caller's bytes stay as they are.
  const little = encoding.label === "utf-16le" ? even : Buffer.from(even).swap16()
  const text = little.toString("utf16le")
  const repaired = Buffer.from(text).toString()
  return { text: repaired, encoding, isExact: text.length === repaired.length }
}

function decodeUtf32(body: Buffer, encoding: Encoding): Decoded {
  const isLittle = encoding.label === "utf-32le"
  const parts: string[] = []
  let units: number[] = []
  for (let at = 0; at + 4 <= body.length; at += 4) {
    const point = isLittle ? body.readUInt32LE(at) : body.readUInt32BE(at)
    const isValid = point < 0x11_0000 && (point < 0xd800 || point > 0xdfff)
    units.push(isValid ? point : 0xfffd)
    if (units.length < 4096) continue
    parts.push(String.fromCodePoint(...units))
    units = []
  }
  parts.push(String.fromCodePoint(...units))
  return exact(parts.join(""), encoding)
}

const SAMPLE = 64 * 1024

/** The start, the middle and the end of a content: enough to see what it is. */
function sampleOf(bytes: Buffer): Buffer {
  if (bytes.length <= 3 * SAMPLE) return bytes
  const middle = (bytes.length >> 1) - (SAMPLE >> 1)
  return Buffer.concat([
    bytes.subarray(0, SAMPLE),
    bytes.subarray(middle, middle + SAMPLE),
    bytes.subarray(bytes.length - SAMPLE),
  ])
}

/** Of 256 byte values, those that no text has: control characters but \b \t \n \v \f \r ESC. */
const CONTROL = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte === 0x7f || (byte < 0x20 && (byte < 0x08 || byte > 0x0d) && byte !== 0x1b) ? 1 : 0,
)
/** Where a NUL means that it is no text, as git and grep see it. */
const NUL_WINDOW = 8192

/** Bytes of an ASCII-compatible encoding that are no text: a NUL near the start, or a control byte in 200. */
export function isBinary(bytes: Buffer): boolean {
  const nul = bytes.indexOf(0)
  if (nul >= 0 && nul < NUL_WINDOW) return true
  const sample = sampleOf(bytes)
  let controls = 0
  // By index: an iterator over a Buffer takes 7 ns a byte, this 1.
  for (let at = 0, end = sample.length; at < end; at += 1) controls += CONTROL[sample[at] ?? 0] ?? 0
  return controls * 200 > sample.length
}

/** Where the last whole UTF-8 character ends. */
function wholeUtf8(bytes: Buffer): number {
  for (let back = 1; back <= 4 && back <= bytes.length; back += 1) {
    const byte = bytes[bytes.length - back] ?? 0
    if ((byte & 0xc0) === 0x80) continue
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return length > back ? bytes.length - back : bytes.length
  }
  return bytes.length
}

/** Has UTF-8's longer characters, and hardly anything that is not UTF-8. */
function isNearlyUtf8(bytes: Buffer): boolean {
  const sample = sampleOf(bytes)
  const text = sample.toString("utf8")
  const wrong = countOf(text, /\ufffd/g)
  const good = countOf(text, /[^\0-\x7f\ufffd]/g)
  return wrong * WRONG_BYTES <= sample.length && good > 4 * wrong
}

/**
 * UTF-16 without a mark has NULs, on one side for the most part, even where most characters are not Latin: blanks, digits and
 * line ends are. (U+4E00 and U+AC00, which are frequent, have theirs on the other.) What comes out must look like text.
 */
function utf16Without(bytes: Buffer): "utf-16le" | "utf-16be" | undefined {
  const head = bytes.subarray(0, Math.min(SAMPLE, bytes.length & ~1))
  const units = head.length / 2
  let [even, odd, others] = [0, 0, 0]
  for (let at = 0; at < head.length; at += 2) {
    const [first = 0, second = 0] = [head[at], head[at + 1]]
    if (first === 0) even += 1
    if (second === 0) odd += 1
    if (isOther(first) || isOther(second)) others += 1
  }
  // Two letters of ASCII are a Chinese one in UTF-16: words between NULs are not meant by it.
  if (units < 2 || (2 * (even + odd) < units && 20 * others < units)) return undefined
  const order = odd >= even ? (["utf-16le", "utf-16be"] as const) : (["utf-16be", "utf-16le"] as const)
  return order.find((label) => {
    const nuls = label === "utf-16le" ? odd : even
    if (nuls * 200 < units) return false
    const text = (label === "utf-16le" ? head : Buffer.from(head).swap16()).toString("utf16le")
    return looksWritten(Buffer.from(text).toString())
  })
}

/** Neither NUL nor a character of ASCII texts. */
const isOther = (byte: number): boolean =>
  byte >= 0x7f || (byte > 0 && byte < 0x20 && (byte < 0x09 || byte > 0x0d))

/** Hardly any control, private or unassigned character, and mostly letters. */
function looksWritten(text: string): boolean {
  const odds = countOf(
    text,
    /[\0-\x08\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ue000-\uf8ff\ufffd-\uffff]|\p{Cn}/gu,
  )
  const letters = countOf(text, /[\p{L}\p{N}\s]/gu)
  return odds * 200 <= text.length && letters * 2 >= text.length
}
