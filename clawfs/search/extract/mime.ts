/** The pieces that a message is made of. A message is a string with one character for each byte; a span is a range of it. */
import { decodeNamed } from "./charset.ts"

export interface Span {
  readonly start: number
  readonly end: number
}

/** Field name in lower case → value without its folding; the first of equal names. */
export type Headers = ReadonlyMap<string, string>

const MAX_HEADER_CHARS = 256 * 1024

/** The header of a message or part, and where its body is. */
export function headersOf(message: string, { start, end }: Span): { headers: Headers; body: Span } {
  const headers = new Map<string, string>()
  let [at, name, value] = [start, "", ""]
  const keep = (): void => {
    if (name !== "" && !headers.has(name)) headers.set(name, value.trim())
  }
  const last = Math.min(end, start + MAX_HEADER_CHARS)
  while (at < last) {
    const newline = message.indexOf("\n", at)
    const next = newline < 0 || newline >= end ? end : newline + 1
    const line = message.slice(at, next).replace(/\r?\n$/, "")
    at = next
    if (line === "") break
    if (line.startsWith(" ") || line.startsWith("\t")) {
      value += ` ${line.trim()}`
      continue
    }
    keep()
    const colon = line.indexOf(":")
    name = line.slice(0, Math.max(0, colon)).trim().toLowerCase()
    value = line.slice(colon + 1)
  }
  keep()
  return { headers, body: { start: at, end } }
}

/** "text/plain" where a part does not say. */
export function mediaTypeOf(headers: Headers): string {
  const type = (headers.get("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? ""
  return /^[\w.+-]{1,80}\/[\w.+-]{1,80}$/.test(type) ? type : "text/plain"
}

/** A parameter of a field, `name*=charset''%41` (RFC 2231, without continuations) included; "" when it is not there. */
export function parameter(field: string, name: string): string {
  for (const [, key = "", quoted, bare = ""] of field
    .slice(0, 8192)
    .matchAll(/;\s*([\w-]+\*?)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))/g)) {
    if (key.toLowerCase() === name) return quoted?.replace(/\\(.)/g, "$1") ?? bare
    if (key.toLowerCase() === `${name}*`) return extendedValue(quoted ?? bare)
  }
  return ""
}

function extendedValue(value: string): string {
  const [charset = "", , encoded = ""] = value.split("'")
  const bytes = encoded.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return decodeNamed(Buffer.from(bytes, "latin1"), charset.toLowerCase())
}

/** The parts of a multipart body, at most `limit` of them; one that is cut off ends with the body. */
export function partsOf(message: string, { start, end }: Span, boundary: string, limit: number): Span[] {
  const parts: Span[] = []
  const delimiter = `--${boundary}`
  let from: number | undefined
  for (
    let at = message.indexOf(delimiter, start);
    at >= 0 && at < end;
    at = message.indexOf(delimiter, at + 1)
  ) {
    const isAtLine = at === start || message.charAt(at - 1) === "\n"
    if (!isAtLine) continue
    if (from !== undefined) parts.push({ start: from, end: Math.max(from, at) })
    const after = at + delimiter.length
    if (message.startsWith("--", after) || parts.length >= limit) return parts
    const newline = message.indexOf("\n", after)
    from = newline < 0 || newline > end ? end : newline + 1
  }
  if (from !== undefined && from < end) parts.push({ start: from, end })
  return parts
}

/** A body's bytes, its transfer encoding undone. */
export function bodyOf(message: string, { start, end }: Span, encoding: string): Buffer {
  const body = message.slice(start, end)
  switch (encoding.trim().toLowerCase()) {
    case "base64":
      return Buffer.from(body, "base64")
    case "quoted-printable":
      return quotedPrintable(body)
    default:
      return Buffer.from(body, "latin1")
  }
}

const EQUALS = 0x3d
const NEWLINE = 0x0a

/** Byte for byte: a body of nothing but escapes has millions of them. */
function quotedPrintable(text: string): Buffer {
  const source = Buffer.from(text, "latin1")
  const out = Buffer.alloc(source.length)
  let length = 0
  for (let at = 0; at < source.length; at += 1) {
    const byte = source[at] ?? 0
    const digits = byte === EQUALS ? source.toString("latin1", at + 1, at + 3) : ""
    if (byte === EQUALS && isSoftBreak(source, at + 1)) at = source.indexOf(NEWLINE, at)
    else if (/^[0-9a-fA-F]{2}$/.test(digits)) {
      out[length++] = Number.parseInt(digits, 16)
      at += 2
    } else out[length++] = byte
  }
  return out.subarray(0, length)
}

/** Only blanks up to the line's end: the line goes on with the next. */
function isSoftBreak(source: Buffer, from: number): boolean {
  let at = from
  while (source[at] === 0x20 || source[at] === 0x09 || source[at] === 0x0d) at += 1
  return source[at] === NEWLINE
}

const unhex = (text: string): string =>
  text.replace(/=([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

/** A field's text, with its encoded words (RFC 2047) and raw bytes read. */
export function decodeWords(value: string): string {
  const joined = value.slice(0, 16_384).replace(/(\?=)\s+(?==\?)/g, "$1")
  return joined
    .split(/(=\?[\w*.:-]{1,60}\?[bBqQ]\?[^?\s]*\?=)/)
    .map((piece, i) => (i % 2 === 1 ? decodeWord(piece) : decodeNamed(Buffer.from(piece, "latin1"), "")))
    .join("")
    .replace(/\s+/g, " ")
    .trim()
}

function decodeWord(word: string): string {
  const [, charset = "", form = "", text = ""] = word.split("?")
  const isBase64 = form.toLowerCase() === "b"
  const bytes = isBase64
    ? Buffer.from(text, "base64")
    : Buffer.from(unhex(text.replaceAll("_", " ")), "latin1")
  return decodeNamed(bytes, charset.split("*", 1)[0]?.toLowerCase() ?? "")
}
