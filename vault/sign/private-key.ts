/**
 * Private keys of Ed25519 and P-256 as tools write them, read in secret memory, without a string: PKCS #8 (RFC 5958) and SEC 1
 * (RFC 5915), as DER or PEM, and OpenSSH's own form (PROTOCOL.key), all without a passphrase.
 */
import { randomFillSync } from "node:crypto"
import { Fault } from "../../clawfs/core/fault.ts"
import { PKCS8, PRIVATE_BYTES, isPrivate, type Curve } from "../../clawfs/sys/signatures.ts"

/** A view of the 32 bytes, within the caller's memory. */
export interface PrivateKey {
  readonly curve: Curve
  readonly secret: Buffer
}

/** The longest PKCS #8 that `newPrivateKey` makes. */
export const MOST_PKCS8_BYTES = 80
const SEQUENCE = 0x30
const INTEGER = 0x02
const OCTETS = 0x04
const OBJECT = 0x06
const PARAMETERS = 0xa0
const LONG = 0x80
const ED25519 = Buffer.from("2b6570", "hex")
const EC = Buffer.from("2a8648ce3d0201", "hex")
const P256 = Buffer.from("2a8648ce3d030107", "hex")
const DASHES = Buffer.from("-----")
const NEWLINE = 0x0a
const OPENSSH = Buffer.from("openssh-key-v1\0")

function refused(): Fault {
  return new Fault("invalid", "the value is no private key that the vault can sign with", {
    hint: "Ed25519 or P-256 as PKCS #8, SEC 1 or OpenSSH writes them, without a passphrase",
  })
}

/** Finds the key in a value. `room`: as much secret memory as the value is long. Throws `Fault("invalid")` for anything else. */
export function privateKeyIn(value: Buffer, room: Buffer): PrivateKey {
  const bytes = value.subarray(0, DASHES.length).equals(DASHES) ? fromPem(value, room) : value
  const key = bytes.subarray(0, OPENSSH.length).equals(OPENSSH) ? fromOpenSsh(bytes) : fromDer(bytes)
  if (isPrivate(key.curve, key.secret)) return key
  throw refused()
}

/** Makes a new key, as PKCS #8 in `room` (`MOST_PKCS8_BYTES` of secret memory). Returns what of it is used. */
export function newPrivateKey(curve: Curve, room: Buffer): Buffer {
  const prefix = PKCS8[curve]
  const out = room.subarray(0, prefix.length + PRIVATE_BYTES)
  const secret = out.subarray(prefix.length)
  out.set(prefix)
  // For P-256 one in 2^32 is not below the group's order.
  do randomFillSync(secret)
  while (!isPrivate(curve, secret))
  return out
}

/** What stands between the two lines of dashes, decoded. */
function fromPem(value: Buffer, room: Buffer): Buffer {
  const begin = value.indexOf(NEWLINE) + 1
  const end = value.indexOf(DASHES, begin)
  if (begin === 0 || end < 0) throw refused()
  let [bits, held, length] = [0, 0, 0]
  for (let at = begin; at < end; at += 1) {
    const six = SIX_BITS[value[at] ?? 0] ?? NONE
    if (six === NONE) continue
    held = ((held << 6) | six) & 0xffff
    bits += 6
    if (bits < 8) continue
    bits -= 8
    room[length++] = (held >> bits) & 0xff
  }
  return room.subarray(0, length)
}

const NONE = 255
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
const SIX_BITS = Uint8Array.from({ length: 256 }, (_, byte) => {
  const at = ALPHABET.indexOf(String.fromCharCode(byte))
  return at < 0 ? NONE : at
})

/** Reads one after the other. X.690: tag, length, contents. */
class Der {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** The tag of what comes next; undefined at the end. */
  get tag(): number | undefined {
    return this.#bytes[this.#at]
  }

  /** The contents of the next, which must have this tag. */
  next(tag: number): Buffer {
    const [found, short = LONG] = this.#bytes.subarray(this.#at)
    if (found !== tag) throw refused()
    this.#at += 2
    const length = short < LONG ? short : this.#long(short - LONG)
    const contents = this.#bytes.subarray(this.#at, this.#at + length)
    if (contents.length !== length) throw refused()
    this.#at += length
    return contents
  }

  #long(count: number): number {
    if (count < 1 || count > 2 || this.#at + count > this.#bytes.length) throw refused()
    const length = this.#bytes.readUIntBE(this.#at, count)
    this.#at += count
    return length
  }
}

/** PKCS #8 names the curve outside of the key, SEC 1 inside. */
function fromDer(bytes: Buffer): PrivateKey {
  const outer = new Der(new Der(bytes).next(SEQUENCE))
  outer.next(INTEGER)
  if (outer.tag === OCTETS) {
    const secret = outer.next(OCTETS)
    return p256Only(new Der(outer.next(PARAMETERS)).next(OBJECT), secret)
  }
  const algorithm = new Der(outer.next(SEQUENCE))
  const kind = algorithm.next(OBJECT)
  const inner = new Der(outer.next(OCTETS))
  if (kind.equals(ED25519)) return { curve: "ed25519", secret: inner.next(OCTETS) }
  if (!kind.equals(EC)) throw refused()
  const ec = new Der(inner.next(SEQUENCE))
  ec.next(INTEGER)
  return p256Only(algorithm.next(OBJECT), ec.next(OCTETS))
}

function p256Only(curve: Buffer, secret: Buffer): PrivateKey {
  if (!curve.equals(P256)) throw refused()
  return { curve: "p256", secret }
}

/** Strings behind their lengths, as in the SSH protocol (RFC 4251, section 5). */
class Ssh {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes
    this.#at = at
  }

  number(): number {
    if (this.#at + 4 > this.#bytes.length) throw refused()
    this.#at += 4
    return this.#bytes.readUInt32BE(this.#at - 4)
  }

  string(): Buffer {
    const length = this.number()
    const bytes = this.#bytes.subarray(this.#at, this.#at + length)
    if (bytes.length !== length) throw refused()
    this.#at += length
    return bytes
  }

  is(text: string): boolean {
    return this.string().equals(Buffer.from(text))
  }
}

function fromOpenSsh(bytes: Buffer): PrivateKey {
  const outer = new Ssh(bytes, OPENSSH.length)
  if (!outer.is("none") || !outer.is("none")) throw refused()
  outer.string()
  if (outer.number() !== 1) throw refused()
  outer.string()
  const inner = new Ssh(outer.string())
  if (inner.number() !== inner.number()) throw refused()
  const type = inner.string()
  if (type.equals(Buffer.from("ssh-ed25519"))) {
    inner.string()
    return { curve: "ed25519", secret: inner.string().subarray(0, PRIVATE_BYTES) }
  }
  if (!type.equals(Buffer.from("ecdsa-sha2-nistp256")) || !inner.is("nistp256")) throw refused()
  inner.string()
  return { curve: "p256", secret: fixedNumber(inner.string()) }
}

/** A number of the SSH protocol is as short as it can be: one in 256 keys has fewer bytes. Padded within its own message. */
function fixedNumber(number: Buffer): Buffer {
  if (number.length === PRIVATE_BYTES + 1 && number[0] === 0) return number.subarray(1)
  if (number.length > PRIVATE_BYTES) throw refused()
  // The length before it and the public point before that are not needed any more.
  const whole = Buffer.from(number.buffer, number.byteOffset + number.length - PRIVATE_BYTES, PRIVATE_BYTES)
  whole.fill(0, 0, PRIVATE_BYTES - number.length)
  return whole
}
