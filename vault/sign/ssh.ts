/**
 * What an SSH agent signs: only what is clearly one of two things, so that a key that may log in signs nothing else. A login
 * (RFC 4252, section 7, and OpenSSH's publickey-hostbound), or a signature of a file (OpenSSH's PROTOCOL.sshsig).
 */
import { Fault } from "../../clawfs/core/fault.ts"
import { publicKeyOf, signWith, type Curve } from "../../clawfs/sys/signatures.ts"
import type { PrivateKey } from "./private-key.ts"

/** ssh: a login · sshsig: a file, a commit */
export type SshKind = "ssh" | "sshsig"

const SSHSIG = Buffer.from("SSHSIG")
const USERAUTH_REQUEST = 50
const SERVICE = Buffer.from("ssh-connection")
const METHODS = ["publickey", "publickey-hostbound-v00@openssh.com"].map((name) => Buffer.from(name))
const NAMES = { ed25519: "ssh-ed25519", p256: "ecdsa-sha2-nistp256" } as const satisfies Record<Curve, string>
const MOST_SESSION_ID = 64

/** A string behind its length (RFC 4251, section 5). */
export function sshString(bytes: Uint8Array | string): Buffer {
  const contents = typeof bytes === "string" ? Buffer.from(bytes) : bytes
  const out = Buffer.alloc(4 + contents.length)
  out.writeUInt32BE(contents.length)
  out.set(contents, 4)
  return out
}

/** The public key, as SSH writes it. */
export function sshPublicKey({ curve, secret }: PrivateKey): Buffer {
  const point = publicKeyOf(curve, secret)
  const name = sshString(NAMES[curve])
  return curve === "ed25519"
    ? Buffer.concat([name, sshString(point)])
    : Buffer.concat([name, sshString("nistp256"), sshString(point)])
}

/** The signature, as SSH writes it. */
export function signForSsh({ curve, secret }: PrivateKey, data: Uint8Array): Buffer {
  const signature = signWith(curve, secret, data)
  const half = signature.length / 2
  const inner =
    curve === "ed25519"
      ? signature
      : Buffer.concat([mpint(signature.subarray(0, half)), mpint(signature.subarray(half))])
  return Buffer.concat([sshString(NAMES[curve]), sshString(inner)])
}

/** A positive number, as short as it can be, with a zero where its first bit is set. */
function mpint(number: Buffer): Buffer {
  let start = 0
  while (start < number.length - 1 && number[start] === 0) start += 1
  const short = number.subarray(start)
  return sshString(((short[0] ?? 0) & 0x80) === 0 ? short : Buffer.concat([Buffer.alloc(1), short]))
}

/** What `data` is; for a login, as whom. `key`: the public key that is asked for. Throws `Fault("denied")` for anything else. */
export function readSshData(data: Buffer, key: Buffer): { readonly kind: SshKind; readonly user?: string } {
  if (data.subarray(0, SSHSIG.length).equals(SSHSIG)) return { kind: "sshsig" }
  const [session, afterSession] = stringAt(data, 0)
  if (session.length === 0 || session.length > MOST_SESSION_ID) throw refused()
  if (data[afterSession] !== USERAUTH_REQUEST) throw refused()
  const [user, afterUser] = stringAt(data, afterSession + 1)
  const [service, afterService] = stringAt(data, afterUser)
  const [method, afterMethod] = stringAt(data, afterService)
  if (!service.equals(SERVICE) || !METHODS.some((each) => each.equals(method))) throw refused()
  if (data[afterMethod] !== 1) throw refused()
  const [, afterAlgorithm] = stringAt(data, afterMethod + 1)
  const [asked, afterKey] = stringAt(data, afterAlgorithm)
  const end = method.equals(METHODS[0] ?? method) ? afterKey : stringAt(data, afterKey)[1]
  if (!asked.equals(key) || end !== data.length) throw refused()
  return { kind: "ssh", user: user.toString() }
}

function stringAt(data: Buffer, at: number): [string: Buffer, end: number] {
  if (at + 4 > data.length) throw refused()
  const end = at + 4 + data.readUInt32BE(at)
  if (end > data.length) throw refused()
  return [data.subarray(at + 4, end), end]
}

function refused(): Fault {
  return new Fault("denied", "this is neither a login by SSH nor a signature of a file")
}
