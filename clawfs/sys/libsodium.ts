/** Argon2id by the system's libsodium (Debian and Ubuntu: package libsodium23), where there is one. */
import { Fault } from "../core/fault.ts"
import { bindFrom, type Native } from "./ffi.ts"

const SONAME = "libsodium.so.23"
const ARGON2ID13 = 2
export const ARGON2_SALT_BYTES = 16

type Pwhash = Native<
  [
    out: Buffer,
    length: bigint,
    password: Uint8Array,
    passwordLength: bigint,
    salt: Uint8Array,
    passes: bigint,
    memoryBytes: number,
    algorithm: number,
  ],
  number
>

let loaded: Pwhash | null | undefined

function pwhash(): Pwhash | null {
  if (loaded !== undefined) return loaded
  const bind = bindFrom(SONAME)
  if (bind?.<[]>("int sodium_init()")() === undefined) return (loaded = null)
  loaded = bind<Parameters<Pwhash>>(
    "int crypto_pwhash(void*, uint64_t, const void*, uint64_t, const void*, uint64_t, size_t, int)",
  )
  return loaded
}

/** Whether this machine can do `argon2id`. */
export function hasArgon2id(): boolean {
  return pwhash() !== null
}

/**
 * Argon2id (RFC 9106), version 0x13, one lane, into `out`. Throws `Fault("unsupported")` without libsodium and
 * "no-space" when there is not so much memory.
 */
export function argon2id(
  out: Buffer,
  password: Uint8Array,
  salt: Uint8Array,
  cost: { readonly passes: number; readonly memoryKiB: number },
): void {
  const derive = pwhash()
  if (derive === null)
    throw new Fault("unsupported", "this machine lacks libsodium, which derives keys by argon2id", {
      hint: "apt-get install libsodium23",
    })
  const bytes = cost.memoryKiB * 1024
  const result = derive(
    out,
    BigInt(out.length),
    password,
    BigInt(password.length),
    salt,
    BigInt(cost.passes),
    bytes,
    ARGON2ID13,
  )
  if (result !== 0)
    throw new Fault("no-space", `argon2id needs ${cost.memoryKiB / 1024} MiB of memory, which are not there`)
}
