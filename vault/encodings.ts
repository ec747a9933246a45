/**
 * The forms in which a value may turn up in a program's output: as it is, backwards, in hexadecimal, percent-encoded, as JSON
 * writes it, and in base64 at each of its three alignments. Bytes in, bytes out: strings can't be wiped.
 */
const HEX_LOWER = Buffer.from("0123456789abcdef")
const HEX_UPPER = Buffer.from("0123456789ABCDEF")
const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
const STANDARD = Buffer.from(`${BASE64}+/`)
const URL_SAFE = Buffer.from(`${BASE64}-_`)
const UNRESERVED = /[A-Za-z0-9\-_.~]/
const PERCENT = 0x25
const BACKSLASH = 0x5c

/** The longest form has so many bytes for one of the value. */
export const MOST_EXPANSION = 6

/** Writes a form of `value` into `out` and returns its length. */
type Encoder = (value: Uint8Array, out: Buffer) => number

const raw: Encoder = (value, out) => {
  out.set(value)
  return value.length
}

const reversed: Encoder = (value, out) => {
  for (let at = 0; at < value.length; at += 1) out[at] = value[value.length - 1 - at] ?? 0
  return value.length
}

const hex =
  (digits: Buffer): Encoder =>
  (value, out) => {
    value.forEach((byte, at) => {
      out[2 * at] = digits[byte >> 4] ?? 0
      out[2 * at + 1] = digits[byte & 15] ?? 0
    })
    return 2 * value.length
  }

const percent =
  (digits: Buffer): Encoder =>
  (value, out) => {
    let length = 0
    for (const byte of value) {
      if (UNRESERVED_BYTES[byte] === 1) {
        out[length++] = byte
        continue
      }
      out[length++] = PERCENT
      out[length++] = digits[byte >> 4] ?? 0
      out[length++] = digits[byte & 15] ?? 0
    }
    return length
  }

const UNRESERVED_BYTES = Uint8Array.from({ length: 256 }, (_, byte) =>
  UNRESERVED.test(String.fromCharCode(byte)) ? 1 : 0,
)

const JSON_SHORT: Readonly<Record<number, string>> = {
  0x08: "b",
  0x09: "t",
  0x0a: "n",
  0x0c: "f",
  0x0d: "r",
  0x22: '"',
  0x5c: "\\",
}

const json: Encoder = (value, out) => {
  let length = 0
  for (const byte of value) {
    const short = JSON_SHORT[byte]
    if (short !== undefined) {
      out[length++] = BACKSLASH
      out[length++] = short.charCodeAt(0)
    } else if (byte < 0x20) {
      length += out.write("\\u00", length, "latin1")
      out[length++] = HEX_LOWER[byte >> 4] ?? 0
      out[length++] = HEX_LOWER[byte & 15] ?? 0
    } else out[length++] = byte
  }
  return length
}

/**
 * Base64 of the value behind `before` other bytes: only the characters that the value alone decides. RFC 4648, section 4
 * and 5.
 */
const base64 =
  (alphabet: Buffer, before: 0 | 1 | 2): Encoder =>
  (value, out) => {
    const bits = 8 * (before + value.length)
    let length = 0
    // The first character that has no bit of what stands before; the last that has none of what follows.
    for (let at = Math.ceil((8 * before) / 6); 6 * (at + 1) <= bits; at += 1) {
      const bit = 6 * at - 8 * before
      const byte = value[bit >> 3] ?? 0
      const next = value[(bit >> 3) + 1] ?? 0
      out[length++] = alphabet[(((byte << 8) | next) >> (10 - (bit & 7))) & 63] ?? 0
    }
    return length
  }

export const ENCODERS: readonly Encoder[] = [
  raw,
  reversed,
  hex(HEX_LOWER),
  hex(HEX_UPPER),
  percent(HEX_UPPER),
  percent(HEX_LOWER),
  json,
  base64(STANDARD, 0),
  base64(STANDARD, 1),
  base64(STANDARD, 2),
  base64(URL_SAFE, 0),
  base64(URL_SAFE, 1),
  base64(URL_SAFE, 2),
]
