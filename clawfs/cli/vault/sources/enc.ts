/**
 * `secrets/<id>.enc` files of ClawOS P1.4, with the master key. The specification names two salts, the one in the file and
 * "ID:vVERSION": the tag says which was meant. It binds a value to nothing, so a file that was renamed or swapped is not noticed.
 */
import { pbkdf2Sync } from "node:crypto"
import { readFileSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { BLOB_OVERHEAD, openBlobInto } from "../../../../keyring/primitives.ts"
import { newSecret } from "../../../../keyring/secret.ts"
import { EncFile } from "../../../../schema/enc-file.ts"
import { Fault } from "../../../core/fault.ts"
import type { ForeignValue, ForeignValues } from "./value.ts"

const KEY_BYTES = 32
const ITERATIONS = 600_000
const SUFFIX = ".enc"
const OWN_FORMAT = "clawfs-vault-1"
const NO_BINDING = Buffer.alloc(0)

/** One file, or all in a directory. Throws a `Fault` for one that is no such file, or that `master` does not open. */
export function readEncFiles(path: string, master: Buffer): ForeignValues {
  const notes: string[] = []
  const values = filesAt(path).flatMap((file): ForeignValue[] => {
    const parsed = fileAt(file)
    const value = opened(parsed, master, file)
    if (value.length > 0) return [{ source: parsed.secret_id, value }]
    notes.push(`${parsed.secret_id} is empty and was left out`)
    return []
  })
  return { values, notes }
}

/** 32 bytes, or as many in hexadecimal with a newline or without. Throws `Fault("invalid")` for anything else. */
export function masterKeyOf(bytes: Buffer): Buffer {
  const text = bytes.length > KEY_BYTES ? bytes.toString("latin1").trim() : ""
  if (/^[0-9A-Fa-f]{64}$/.test(text)) return Buffer.from(text, "hex")
  if (bytes.length === KEY_BYTES) return bytes
  throw new Fault("invalid", "the master key is 32 bytes, or 64 digits in hexadecimal")
}

function opened({ kdf, version = 1, ...file }: EncFile, master: Buffer, path: string): Buffer {
  const blob = Buffer.concat(
    [file.iv, file.encrypted_value, file.auth_tag].map((part) => Buffer.from(part, "base64")),
  )
  const salts = [Buffer.from(kdf?.salt ?? "", "base64"), Buffer.from(`${file.secret_id}:v${version}`)]
  const value = newSecret(blob.length - BLOB_OVERHEAD)
  for (const salt of salts) {
    const key = pbkdf2Sync(master, salt, kdf?.iterations ?? ITERATIONS, KEY_BYTES, "sha256")
    const isOpen = openBlobInto(key, NO_BINDING, blob, value)
    key.fill(0)
    if (isOpen) return value
  }
  throw new Fault("denied", `the master key does not open ${path}, or the file was changed`)
}

function fileAt(path: string): EncFile {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, "utf8"))
  } catch (cause) {
    throw new Fault("invalid", `${path} is not JSON`, { cause })
  }
  if ((value as { format?: unknown } | null)?.format === OWN_FORMAT)
    throw new Fault("invalid", `${path} is of a clawfs vault: only that vault's root key opens it`, {
      hint: "clawfs vault export, from that vault, makes a bundle",
    })
  const parsed = EncFile.safeParse(value)
  if (parsed.success) return parsed.data
  throw new Fault("invalid", `${path} is no encrypted secret of P1.4`, { cause: parsed.error })
}

function filesAt(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path]
    return readdirSync(path)
      .filter((name) => name.endsWith(SUFFIX))
      .sort()
      .map((name) => join(path, name))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause
    throw new Fault("not-found", `there is no file ${path}`, { cause })
  }
}
