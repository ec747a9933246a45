/**
 * Bytes that must not be left behind: in a buffer of their own, outside of V8's moving heap and of Node's shared pool
 * (small `Buffer.alloc`s lie there, and a moved copy can't be wiped), never in a string.
 */
import { randomFillSync } from "node:crypto"

export const KEY_BYTES = 32

/** `length` zeroes. Owner: whoever holds it calls `wipe`. */
export function newSecret(length = KEY_BYTES): Buffer {
  return Buffer.from(new ArrayBuffer(length))
}

export function randomSecret(length = KEY_BYTES): Buffer {
  return randomFillSync(newSecret(length))
}

export function copySecret(bytes: Uint8Array): Buffer {
  const copy = newSecret(bytes.length)
  copy.set(bytes)
  return copy
}

/** Overwrites secrets. Best effort: what a garbage collector or a native library has copied is out of reach. */
export function wipe(...secrets: readonly (Uint8Array | undefined)[]): void {
  for (const secret of secrets) secret?.fill(0)
}
