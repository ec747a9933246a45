/**
 * AES-256-GCM by OpenSSL's libcrypto, without what Node's objects cost: one cipher context that is keyed anew for each
 * message, and results that land where the caller wants them. Measured on two shared cores against node:crypto, sealing
 * and opening: 64 bytes 3.5 and 6 us, 4 KiB 4.2 and 5.5 us, 128 KiB 60 and 74 us. HMAC is as fast either way.
 *
 * EVP_EncryptInit_ex2(3). The key schedule stays in the context until the next message or `forget`.
 */
import { bug } from "../core/assert.ts"
import { bindFrom, type Native } from "./ffi.ts"

const SONAME = "libcrypto.so.3"
const GET_TAG = 0x10
const SET_TAG = 0x11
export const TAG_BYTES = 16
export const NONCE_BYTES = 12

type Init = Native<
  [context: unknown, cipher: unknown, key: Uint8Array | null, nonce: Uint8Array | null, params: null],
  number
>
type Update = Native<
  [context: unknown, out: Uint8Array | null, written: Buffer, data: Uint8Array, length: number],
  number
>
type Final = Native<[context: unknown, out: Buffer, written: Buffer], number>

interface Functions {
  readonly newContext: Native<[], unknown>
  readonly resetContext: Native<[context: unknown], number>
  readonly fetch: Native<[library: null, name: string, properties: null], unknown>
  readonly control: Native<[context: unknown, command: number, length: number, data: Uint8Array], number>
  readonly encryptInit: Init
  readonly encryptUpdate: Update
  readonly encryptFinal: Final
  readonly decryptInit: Init
  readonly decryptUpdate: Update
  readonly decryptFinal: Final
}

function load(): Functions | undefined {
  const bind = bindFrom(SONAME)
  if (bind === undefined) return undefined
  const init = (name: string): Init =>
    bind(`int ${name}(void*, const void*, const void*, const void*, void*)`)
  const update = (name: string): Update => bind(`int ${name}(void*, void*, void*, const void*, int)`)
  const final = (name: string): Final => bind(`int ${name}(void*, void*, void*)`)
  return {
    newContext: bind("void* EVP_CIPHER_CTX_new()"),
    resetContext: bind("int EVP_CIPHER_CTX_reset(void*)"),
    fetch: bind("void* EVP_CIPHER_fetch(void*, const char*, const char*)"),
    control: bind("int EVP_CIPHER_CTX_ctrl(void*, int, int, void*)"),
    encryptInit: init("EVP_EncryptInit_ex2"),
    encryptUpdate: update("EVP_EncryptUpdate"),
    encryptFinal: final("EVP_EncryptFinal_ex"),
    decryptInit: init("EVP_DecryptInit_ex2"),
    decryptUpdate: update("EVP_DecryptUpdate"),
    decryptFinal: final("EVP_DecryptFinal_ex"),
  }
}

/** The system's libcrypto. One context: not to be shared between threads, which each load their own. */
export class Libcrypto {
  readonly #f: Functions
  readonly #context: unknown
  readonly #cipher: unknown
  readonly #written = Buffer.alloc(8)
  readonly #rest = Buffer.alloc(TAG_BYTES)

  private constructor(functions: Functions) {
    this.#f = functions
    this.#cipher = functions.fetch(null, "AES-256-GCM", null)
    this.#context = functions.newContext()
    if (this.#cipher === null || this.#context === null) bug("libcrypto has no AES-256-GCM")
  }

  /** Undefined on a machine without it; node:crypto does the same more slowly. */
  static load(): Libcrypto | undefined {
    const functions = load()
    return functions === undefined ? undefined : new Libcrypto(functions)
  }

  /** Encrypts `data` into `out`, as long as `data` and possibly the same bytes, and puts the tag into `tag` (16 bytes). */
  seal(
    key: Uint8Array,
    nonce: Uint8Array,
    aad: Uint8Array,
    data: Uint8Array,
    out: Buffer,
    tag: Buffer,
  ): void {
    const f = this.#f
    this.#ok(f.encryptInit(this.#context, this.#cipher, key, nonce, null))
    this.#ok(f.encryptUpdate(this.#context, null, this.#written, aad, aad.length))
    if (data.length > 0) this.#ok(f.encryptUpdate(this.#context, out, this.#written, data, data.length))
    this.#ok(f.encryptFinal(this.#context, this.#rest, this.#written))
    this.#ok(f.control(this.#context, GET_TAG, TAG_BYTES, tag))
  }

  /** Decrypts into `out`; false when the tag does not fit: then `out` holds zeroes. */
  open(
    key: Uint8Array,
    nonce: Uint8Array,
    aad: Uint8Array,
    data: Uint8Array,
    out: Buffer,
    tag: Uint8Array,
  ): boolean {
    const f = this.#f
    this.#ok(f.decryptInit(this.#context, this.#cipher, key, nonce, null))
    this.#ok(f.decryptUpdate(this.#context, null, this.#written, aad, aad.length))
    if (data.length > 0) this.#ok(f.decryptUpdate(this.#context, out, this.#written, data, data.length))
    this.#ok(f.control(this.#context, SET_TAG, TAG_BYTES, tag))
    if (f.decryptFinal(this.#context, this.#rest, this.#written) === 1) return true
    out.fill(0, 0, data.length)
    return false
  }

  /** Wipes the key schedule of the last message. */
  forget(): void {
    this.#ok(this.#f.resetContext(this.#context))
  }

  #ok(result: number): void {
    if (result !== 1) bug("libcrypto refused a call")
  }
}
