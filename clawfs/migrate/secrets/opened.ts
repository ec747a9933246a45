/** A row's secret in memory, or why it can't be had. */
import type { FoundSecret } from "../source.ts"
import { openSecret } from "./ironclaw-crypto.ts"
import { MOST_VALUE_BYTES } from "./reference.ts"

/** `blob` undefined: it was too long to be read. `bound`: what 1.x has bound it to. */
export function opened(
  masterKey: Buffer | undefined,
  salt: Buffer,
  blob: Buffer | undefined,
  bound?: Buffer,
): Pick<FoundSecret, "value" | "why"> {
  if (blob === undefined) return { value: undefined, why: `it has more than ${MOST_VALUE_BYTES} bytes` }
  if (masterKey === undefined) return { value: undefined, why: "there is no master key" }
  const value = openSecret(masterKey, salt, blob, bound)
  if (value === undefined)
    return { value, why: "it does not open: another master key, or it was changed or moved" }
  if (value.length === 0) return { value: undefined, why: "it is empty, and the vault keeps no empty secret" }
  return { value }
}
