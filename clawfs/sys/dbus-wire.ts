/**
 * The messages of D-Bus (D-Bus Specification 0.43, "Message Protocol"), as far as one who calls a few methods of system services and
 * waits for their signals needs them: arguments are strings; of what comes, the header and the first argument are read.
 */
import { Reader } from "../core/bytes.ts"
import { Fault } from "../core/fault.ts"

export const MessageType = { CALL: 1, RETURN: 2, ERROR: 3, SIGNAL: 4 } as const
const LITTLE_ENDIAN = 0x6c
const VERSION = 1
/** Whatever services say here is short; a message may have 128 MiB. */
const MOST_BYTES = 64 * 1024
const FIXED_BYTES = 16
const Field = {
  PATH: 1,
  INTERFACE: 2,
  MEMBER: 3,
  REPLY_SERIAL: 5,
  DESTINATION: 6,
  SENDER: 7,
  SIGNATURE: 8,
  FDS: 9,
} as const

export interface MethodCall {
  readonly destination: string
  readonly path: string
  readonly interface: string
  readonly member: string
  readonly args: readonly string[]
}

export interface DbusMessage {
  readonly type: number
  readonly sender: string
  readonly interface: string
  readonly member: string
  /** Number of the call that this answers. */
  readonly replyTo: number
  /** Descriptors that come with it. */
  readonly fds: number
  /** The first argument, if it is a string, a boolean, a number or a descriptor's place. */
  readonly first: string | number | undefined
}

/** Bytes that grow; numbers are aligned to their size. */
class Marshal {
  readonly #parts: Buffer[] = []
  length = 0

  align(to: number): this {
    return this.raw(Buffer.alloc((to - (this.length % to)) % to))
  }

  raw(bytes: Buffer): this {
    this.#parts.push(bytes)
    this.length += bytes.length
    return this
  }

  u32(value: number): this {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(value)
    return this.align(4).raw(bytes)
  }

  string(text: string): this {
    const bytes = Buffer.from(`${text}\0`)
    return this.u32(bytes.length - 1).raw(bytes)
  }

  signature(text: string): this {
    return this.raw(Buffer.from([text.length])).raw(Buffer.from(`${text}\0`))
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

/** `serial`: from 1, another one for each call. */
export function callBytes(serial: number, call: MethodCall): Buffer {
  const body = new Marshal()
  for (const arg of call.args) body.string(arg)
  const fields = new Marshal()
  const field = (code: number, type: string, text: string): void => {
    fields
      .align(8)
      .raw(Buffer.from([code]))
      .signature(type)
    if (type === "g") fields.signature(text)
    else fields.string(text)
  }
  field(Field.PATH, "o", call.path)
  field(Field.INTERFACE, "s", call.interface)
  field(Field.MEMBER, "s", call.member)
  field(Field.DESTINATION, "s", call.destination)
  if (call.args.length > 0) field(Field.SIGNATURE, "g", "s".repeat(call.args.length))
  return new Marshal()
    .raw(Buffer.from([LITTLE_ENDIAN, MessageType.CALL, 0, VERSION]))
    .u32(body.length)
    .u32(serial)
    .u32(fields.length)
    .raw(fields.bytes())
    .align(8)
    .raw(body.bytes())
    .bytes()
}

/** How long the message is that `bytes` begin with; undefined while that is not known. Throws for one that is not ours to read. */
export function messageLength(bytes: Buffer): number | undefined {
  if (bytes.length < FIXED_BYTES) return undefined
  if (bytes[0] !== LITTLE_ENDIAN || bytes[3] !== VERSION) throw malformed()
  const length = bodyAt(bytes) + bytes.readUInt32LE(4)
  if (length > MOST_BYTES) throw malformed()
  return length
}

function bodyAt(bytes: Buffer): number {
  return aligned(FIXED_BYTES + bytes.readUInt32LE(12), 8)
}

/** A whole message. Throws `Fault("corrupt")` for what is none. */
export function readMessage(bytes: Buffer): DbusMessage {
  try {
    return read(bytes)
  } catch (thrown) {
    if (thrown instanceof RangeError) throw malformed()
    throw thrown
  }
}

function read(bytes: Buffer): DbusMessage {
  const texts = new Map<number, string>()
  const numbers = new Map<number, number>()
  const end = FIXED_BYTES + bytes.readUInt32LE(12)
  for (let at = FIXED_BYTES; at < end;) {
    at = aligned(at, 8)
    const code = bytes.readUInt8(at)
    const type = shortText(bytes, at + 1)
    const next = valueAt(bytes, at + 1 + type.length + 2, type)
    if (typeof next.value === "string") texts.set(code, next.value)
    else numbers.set(code, next.value)
    at = next.end
  }
  const signature = texts.get(Field.SIGNATURE) ?? ""
  const [kind = ""] = signature
  return {
    type: bytes.readUInt8(1),
    sender: texts.get(Field.SENDER) ?? "",
    interface: texts.get(Field.INTERFACE) ?? "",
    member: texts.get(Field.MEMBER) ?? "",
    replyTo: numbers.get(Field.REPLY_SERIAL) ?? 0,
    fds: numbers.get(Field.FDS) ?? 0,
    first: "sogubh".includes(kind) && kind !== "" ? valueAt(bytes, bodyAt(bytes), kind).value : undefined,
  }
}

function valueAt(bytes: Buffer, start: number, type: string): { value: string | number; end: number } {
  if (type === "g") {
    const value = shortText(bytes, start)
    return { value, end: start + value.length + 2 }
  }
  const at = aligned(start, 4)
  const number = bytes.readUInt32LE(at)
  if (type === "u" || type === "b" || type === "h") return { value: number, end: at + 4 }
  if (type !== "s" && type !== "o") throw malformed()
  const value = new Reader(bytes.subarray(at + 4)).bytes(number).toString()
  return { value, end: at + 4 + number + 1 }
}

function shortText(bytes: Buffer, at: number): string {
  const length = bytes.readUInt8(at)
  return new Reader(bytes.subarray(at + 1)).bytes(length).toString("latin1")
}

function aligned(at: number, to: number): number {
  return Math.ceil(at / to) * to
}

function malformed(): Fault {
  return new Fault("corrupt", "what came over the bus is no message of D-Bus")
}
