/** `clawfs vault keygen`, `public-key`, `sign-with`: keys that stay in the vault. */
import { readSync, writeSync } from "node:fs"
import { Fault } from "../../core/fault.ts"
import { UsageError } from "../command.ts"
import { ExitCode } from "../exit-code.ts"
import type { VaultAction } from "../vault/action.ts"
import { Attachments, callVault } from "../vault/client.ts"

const STDIN = 0
const STDOUT = 1
const MOST_SIGNED_BYTES = 1024 * 1024
const ENCODINGS = ["base64", "base64url", "hex"] as const
const SSH_NAMES: Readonly<Record<string, string>> = { ed25519: "ssh-ed25519", p256: "ecdsa-sha2-nistp256" }

export interface PublicKey {
  readonly curve: string
  /** As SSH writes it, base64. */
  readonly ssh: string
}

/** A line for authorized_keys. */
export function authorizedLine({ curve, ssh }: PublicKey, name: string): string {
  return `${SSH_NAMES[curve] ?? curve} ${ssh} ${name}`
}

export function keygen({ directory, values, operands, terminal }: VaultAction): ExitCode {
  const [name = ""] = operands
  const kind = values.as ?? "ed25519"
  if (kind !== "ed25519" && kind !== "ecdsa-p256")
    throw new UsageError("vault keygen: --as takes ed25519 or ecdsa-p256")
  const { description } = values
  const params = { name, kind, ...(description === undefined ? {} : { description }) }
  const made = callVault(directory, "generate", params) as PublicKey & { readonly version: number }
  terminal.note(`${name} is made, version ${made.version}`)
  terminal.out(authorizedLine(made, name))
  return ExitCode.OK
}

export function publicKey({ directory, operands, terminal }: VaultAction): ExitCode {
  const [name = ""] = operands
  terminal.out(authorizedLine(callVault(directory, "public-key", { name }) as PublicKey, name))
  return ExitCode.OK
}

/** All of stdin. */
function message(): Buffer {
  const bytes = Buffer.alloc(MOST_SIGNED_BYTES + 1)
  let length = 0
  while (length < bytes.length) {
    const got = readSync(STDIN, bytes, length, bytes.length - length, null)
    if (got === 0) return bytes.subarray(0, length)
    length += got
  }
  throw new Fault("invalid", `what is to be signed has more than ${MOST_SIGNED_BYTES} bytes`)
}

export function signWith({ directory, values, operands, terminal }: VaultAction): ExitCode {
  const [name = ""] = operands
  const { as: kind, algorithm, "key-id": keyId } = values
  if (kind === undefined)
    throw new UsageError("vault sign-with: --as says what to make", "clawfs vault --help")
  if (kind === "ssh" || kind === "sshsig")
    throw new UsageError(`vault sign-with: ${kind} is what clawfs vault ssh-agent makes`)
  const encoding = encodingOf(values.encoding)
  const text = message()
  using attached = new Attachments()
  const params = {
    ...{ name, kind, fd: attached.giveFile(kind === "aws-sigv4" ? Buffer.alloc(0) : text) },
    ...(algorithm === undefined ? {} : { algorithm }),
    ...(keyId === undefined ? {} : { keyId }),
    ...(kind === "aws-sigv4" ? { aws: jsonOf(text) } : {}),
  }
  const made = callVault(directory, "sign", params, attached.fds) as Signed
  if (made.token !== undefined) terminal.out(made.token)
  else if (made.headers !== undefined) terminal.out(JSON.stringify(made.headers, undefined, 2))
  else {
    const signature = Buffer.from(made.signature ?? "", "base64")
    if (encoding === "raw") writeSync(STDOUT, signature)
    else terminal.out(signature.toString(encoding))
  }
  return ExitCode.OK
}

interface Signed {
  readonly signature?: string
  readonly token?: string
  readonly headers?: Readonly<Record<string, string>>
}

function encodingOf(text = "base64"): (typeof ENCODINGS)[number] | "raw" {
  const known = text === "raw" ? text : ENCODINGS.find((each) => each === text)
  if (known !== undefined) return known
  throw new UsageError(`vault sign-with: there is no encoding "${text}"`, "base64, base64url, hex or raw")
}

function jsonOf(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString())
  } catch (cause) {
    throw new Fault("invalid", "the request to AWS is no JSON", { cause })
  }
}
