/** Values as other programs keep them: what reads them gives these. */
import { readSync } from "node:fs"
import { Fault } from "../../../core/fault.ts"
import { newSecret } from "../../../../keyring/secret.ts"
import { MOST_IMPORT_BYTES } from "../../../../schema/vault-api.ts"

export interface ForeignValue {
  /** As it is called there. */
  readonly source: string
  /** Bytes of the reader's own, for whoever gets them to wipe. */
  readonly value: Buffer
}

export interface ForeignValues {
  readonly values: readonly ForeignValue[]
  /** What was left out or cut, a sentence each; no values in them. */
  readonly notes: readonly string[]
}

/** All bytes of a descriptor. Throws `Fault("invalid")` for more than 1 MiB, and when it can't be read. */
export function readSource(fd: number, what: string): Buffer {
  const bytes = newSecret(MOST_IMPORT_BYTES + 1)
  let length = 0
  try {
    for (;;) {
      const got = readSync(fd, bytes, length, bytes.length - length, null)
      if (got === 0) return bytes.subarray(0, length)
      length += got
      if (length === bytes.length) break
    }
  } catch (cause) {
    throw new Fault("invalid", `${what} can't be read`, { cause })
  }
  bytes.fill(0)
  throw new Fault("invalid", `${what} has more than ${MOST_IMPORT_BYTES} bytes`, {
    hint: "import it in parts",
  })
}

/**
 * The name of a secret for what another program calls `source`: lower case, a dot for a slash, a hyphen for whatever a name
 * can't have. It may still be none: the vault decides.
 */
export function nameFor(source: string, prefix = ""): string {
  const name = source
    .toLowerCase()
    .replaceAll("/", ".")
    .replaceAll(/[^a-z0-9.]+/g, "-")
    .replaceAll(/^[.-]+|[.-]+$/g, "")
  return `${prefix}${name}`
}
