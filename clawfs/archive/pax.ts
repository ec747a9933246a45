/** Records of a pax header, `LENGTH KEY=VALUE\n` each (POSIX.1-2017, pax(1)). Keys are text, values any bytes. */
import { Fault } from "../core/fault.ts"

/** A header with more is none that is written here: attributes of a file are the only ones of any size. */
export const MOST_RECORD_BYTES = 4 * 1024 * 1024

export type Records = ReadonlyMap<string, Buffer>

/** Throws `Fault("invalid")` for more than a header holds. */
export function encodeRecords(records: Records): Buffer {
  const parts: Buffer[] = []
  for (const [key, value] of records) {
    const rest = Buffer.concat([Buffer.from(` ${key}=`, "latin1"), value, NEWLINE])
    parts.push(Buffer.from(lengthBefore(rest.length), "latin1"), rest)
  }
  const bytes = Buffer.concat(parts)
  if (bytes.length > MOST_RECORD_BYTES)
    throw new Fault("invalid", `its attributes have more than ${MOST_RECORD_BYTES} bytes`)
  return bytes
}

const NEWLINE = Buffer.from("\n")
const NEWLINE_BYTE = 0x0a
const SPACE = 0x20
const EQUALS = 0x3d
const MOST_DIGITS = 8

/** The decimal number that counts itself too. */
function lengthBefore(rest: number): string {
  let digits = 1
  while (String(rest + digits).length > digits) digits += 1
  return String(rest + digits)
}

/** Throws `Fault("corrupt")` for anything else than `encodeRecords` makes, a key that comes twice too. */
export function decodeRecords(bytes: Buffer): Records {
  const records = new Map<string, Buffer>()
  for (let at = 0; at < bytes.length;) {
    const space = bytes.indexOf(SPACE, at)
    const digits = space < 0 || space - at > MOST_DIGITS ? "" : bytes.toString("latin1", at, space)
    const end = at + (/^[1-9]\d*$/.test(digits) ? Number(digits) : 0)
    const equals = bytes.indexOf(EQUALS, space)
    if (
      end <= space + 1 ||
      end > bytes.length ||
      bytes[end - 1] !== NEWLINE_BYTE ||
      equals < 0 ||
      equals >= end
    )
      throw damagedRecords()
    const key = bytes.toString("latin1", space + 1, equals)
    if (records.has(key)) throw damagedRecords()
    records.set(key, Buffer.from(bytes.subarray(equals + 1, end - 1)))
    at = end
  }
  return records
}

function damagedRecords(): Fault {
  return new Fault("corrupt", "the records of a header are damaged")
}
