/**
 * What the vault asks of a TPM 2.0: to seal 32 bytes to a policy and to open them again, and a counter that never goes back.
 *
 *  - Objects lie under the storage root key: the persistent one at 0x81000001 if the system has made it, else one that the
 *    TPM makes anew from the standard template, always the same. Its name is kept with what is sealed and compared first,
 *    so that an interposed or cleared TPM is noticed before it is told anything.
 *  - Secrets cross the bus encrypted, in a session salted with that key; a second one, apart from the policy session, for
 *    what is unsealed (tpm2-tss issue 2574: a policy session with a PIN does not decrypt the answer).
 *  - ESYS keeps its last answer in ordinary memory: what ends with a secret is followed by a long harmless answer.
 */
import { timingSafeEqual } from "node:crypto"
import { Fault } from "../clawfs/core/fault.ts"
import {
  Esys,
  NO_SESSION,
  OWNER,
  PASSWORD_SESSION,
  Rc,
  TpmFault,
  sessions,
  structOf,
} from "../clawfs/sys/tss2.ts"
import { wipe } from "./secret.ts"
import {
  ALG_SHA256,
  DIGEST_BYTES,
  ECDSA_SHA256,
  NO_TICKET,
  SESSION_CIPHER,
  SRK_TEMPLATE,
  counterTemplate,
  halves,
  lastOf,
  lockoutOf,
  noteTemplate,
  policyDigest,
  sealedTemplate,
  selectionOf,
  signingTemplate,
  sensitiveOf,
  sized,
  u64,
  type Lockout,
  type Policy,
} from "./tpm-wire.ts"

export const DEFAULT_TCTI = "device:/dev/tpmrm0"
const PERSISTENT_SRK = 0x8100_0001
/** Indexes that the owner may define; ours are searched from here (TCG registry: 0x01800000 to 0x01BFFFFF). */
const FIRST_INDEX = 0x0180_c1a0
const INDEXES = 64
const CAP_TPM_PROPERTIES = 6
const PT_LOCKOUT_COUNTER = 0x20e
const LOCKOUT_PROPERTIES = 4
/** Any PCR may be extended meanwhile, by IMA for instance: then the policy session is of no use any more. */
const MOST_TRIES = 30
const HMAC_SESSION = 0
const POLICY_SESSION = 1
/** TPMA_SESSION: continueSession, decrypt (what goes in), encrypt (what comes out). */
const ENCRYPTED = 0x61
const CONTINUED = 0x01
/** TPM2_PCR_Read gives no more at a time. */
const PCRS_AT_ONCE = 8
const EMPTY = Buffer.alloc(0)
const NO_DATA = Buffer.alloc(4096)

/** Names of the loader's modules that may be used: others run commands, or any file as a library. */
const TCTI = /^(device|swtpm|mssim|tabrmd)(:[\w./=,-]*)?$|^pcap:(device|swtpm)(:[\w./=,-]*)?$/

/** Throws `Fault("invalid")` for a configuration that could load anything else than a driver of tpm2-tss. */
export function checkTcti(tcti: string): string {
  if (TCTI.test(tcti)) return tcti
  throw new Fault("invalid", `"${tcti}" is no TPM that clawfs uses`, {
    hint: `such as ${DEFAULT_TCTI} or swtpm:path=/run/swtpm/sock`,
  })
}

/** Something that the TPM has sealed. Nothing in it is secret. */
export interface SealedObject {
  readonly pcrs: readonly number[]
  readonly hasPin: boolean
  /** Name of the storage root key (TPM 2.0 Part 1, section 16). */
  readonly parent: Buffer
  readonly publicArea: Buffer
  readonly privateArea: Buffer
}

/** Where a note is: an ordinary NV index. */
export interface NotePlace {
  readonly index: number
  readonly name: Buffer
}

/** An NV counter that is open in this connection. */
export interface Counter {
  readonly index: number
  readonly name: Buffer
  readonly handle: number
}

interface UnsealOptions {
  readonly pin?: Uint8Array | undefined
  readonly counter?: Counter | undefined
  readonly value?: bigint
}

export class Tpm implements Disposable {
  readonly #esys: Esys

  /** Connects to the TPM. Throws `Fault("unsupported")` without one. */
  constructor(tcti: string = DEFAULT_TCTI) {
    try {
      this.#esys = new Esys(checkTcti(tcti))
    } catch (thrown) {
      if (!(thrown instanceof TpmFault)) throw thrown
      throw new Fault("unsupported", `there is no TPM at ${tcti}`, { cause: thrown })
    }
    try {
      this.#esys.call("Startup", 0)
    } catch (thrown) {
      if (thrown instanceof TpmFault && thrown.rc === Rc.INITIALIZE) return
      this.#esys[Symbol.dispose]()
      throw thrown
    }
  }

  #parent(): { readonly handle: number; readonly done: () => void } {
    const esys = this.#esys
    try {
      const handle = esys.handle("TR_FromTPMPublic", PERSISTENT_SRK, sessions())
      return { handle, done: () => esys.call("TR_Close", [handle]) }
    } catch (thrown) {
      if (!(thrown instanceof TpmFault && thrown.rc === Rc.HANDLE)) throw thrown
    }
    const handle = this.#primary(SRK_TEMPLATE)
    return { handle, done: () => esys.call("FlushContext", handle) }
  }

  /** Makes the key of a template, always the same; the caller flushes it. */
  #primary(template: Buffer): number {
    const nothing = structOf("TPM2B_SENSITIVE_CREATE", sized(sized(), sized()))
    const out: unknown[] = [0]
    this.#esys.call(
      "CreatePrimary",
      ...[OWNER, sessions(PASSWORD_SESSION), nothing, structOf("TPM2B_PUBLIC", template)],
      ...[NO_DATA, NO_DATA, out, null, null, null, null],
    )
    return Number(out[0])
  }

  #nameOf(handle: number): Buffer {
    const out: unknown[] = [null]
    this.#esys.call("TR_GetName", handle, out)
    return this.#esys.take(out[0])
  }

  #session(type: number, salt: number, attributes: number): number {
    const cipher = structOf("TPMT_SYM_DEF", SESSION_CIPHER)
    const handle = this.#esys.handle(
      "StartAuthSession",
      ...[salt, NO_SESSION, sessions(), null, type, cipher, ALG_SHA256],
    )
    this.#esys.call("TRSess_SetAttributes", handle, attributes, 0xff)
    return handle
  }

  /** Name of the storage root key: another TPM has another, and so has this one when it was cleared. */
  identity(): Buffer {
    const parent = this.#parent()
    try {
      return this.#nameOf(parent.handle)
    } finally {
      parent.done()
    }
  }

  /** Values of PCRs in the SHA-256 bank, in ascending order of their numbers. */
  pcrValues(pcrs: readonly number[]): Buffer[] {
    const sorted = [...pcrs].sort((a, b) => a - b)
    const values: Buffer[] = []
    for (let at = 0; at < sorted.length; at += PCRS_AT_ONCE) {
      const some = sorted.slice(at, at + PCRS_AT_ONCE)
      const out: unknown[] = [null]
      const selection = structOf("TPML_PCR_SELECTION", selectionOf(some))
      this.#esys.call("PCR_Read", sessions(), selection, [0], null, out)
      const wire = this.#esys.wireOf("TPML_DIGEST", out[0])
      if (wire.readUInt32BE(0) !== some.length)
        throw new Fault("unsupported", "the TPM has no SHA-256 bank of these PCRs")
      for (let i = 0, place = 6; i < some.length; i += 1, place += 2 + DIGEST_BYTES)
        values.push(wire.subarray(place, place + DIGEST_BYTES))
    }
    return values
  }

  /** Extends a PCR, as boot loaders do; for tests, and to close what is sealed to it until the next boot. */
  extendPcr(pcr: number, digest: Buffer): void {
    const wire = Buffer.concat([Buffer.from([0, 0, 0, 1, 0, ALG_SHA256]), digest])
    const values = structOf("TPML_DIGEST_VALUES", wire)
    this.#esys.call("PCR_Extend", pcr, sessions(PASSWORD_SESSION), values)
  }

  /** Overwrites what ESYS has of the last answer. */
  #forget(): void {
    this.pcrValues([0, 1, 2, 3, 4, 5, 6, 7])
  }

  /**
   * Seals `secret` (up to 128 bytes): it opens while the PCRs have the values of now, with the PIN, and when the counter
   * has exactly that value, which may be one to come. `pin` of 32 bytes, not ending in a zero.
   */
  seal(
    secret: Uint8Array,
    pcrs: readonly number[],
    options: { readonly pin?: Uint8Array | undefined; readonly counter?: Policy["counter"] } = {},
  ): SealedObject {
    const { pin, counter } = options
    const hasPin = pin !== undefined
    const digest = policyDigest({ pcrs, hasPin, counter }, this.pcrValues(pcrs))
    const parent = this.#parent()
    const wire = sensitiveOf(pin ?? EMPTY, secret)
    const sensitive = structOf("TPM2B_SENSITIVE_CREATE", wire)
    try {
      return this.#withSessions((open) => {
        const session = open(HMAC_SESSION, parent.handle, ENCRYPTED)
        const [privateOut, publicOut]: [unknown[], unknown[]] = [[null], [null]]
        this.#esys.call(
          "Create",
          ...[parent.handle, sessions(PASSWORD_SESSION, session), sensitive],
          ...[structOf("TPM2B_PUBLIC", sealedTemplate(digest, hasPin)), NO_DATA, NO_DATA],
          ...[privateOut, publicOut, null, null, null],
        )
        return {
          ...{ pcrs, hasPin, parent: this.#nameOf(parent.handle) },
          privateArea: this.#esys.wireOf("TPM2B_PRIVATE", privateOut[0]),
          publicArea: this.#esys.wireOf("TPM2B_PUBLIC", publicOut[0]),
        }
      })
    } finally {
      wipe(wire, sensitive)
      parent.done()
      this.#forget()
    }
  }

  /**
   * Opens what was sealed into `into`, which must be as long. Throws a `Fault`: "denied" for another TPM, other PCRs, another
   * value of the counter, a damaged object or a wrong PIN, "busy" while the TPM is locked out for too many of those.
   */
  unseal(sealed: SealedObject, into: Buffer, options: UnsealOptions = {}): void {
    const parent = this.#parent()
    try {
      const name = this.#nameOf(parent.handle)
      if (name.length !== sealed.parent.length || !timingSafeEqual(name, sealed.parent))
        throw new Fault("denied", "this is another TPM than the one that sealed the key, or it was cleared")
      const object = this.#esys.handle(
        "Load",
        ...[parent.handle, sessions(PASSWORD_SESSION)],
        ...[structOf("TPM2B_PRIVATE", sealed.privateArea), structOf("TPM2B_PUBLIC", sealed.publicArea)],
      )
      try {
        this.#unsealObject(object, parent.handle, sealed, into, options)
      } finally {
        this.#esys.call("FlushContext", object)
      }
    } finally {
      parent.done()
      this.#forget()
    }
  }

  #unsealObject(
    object: number,
    parent: number,
    sealed: SealedObject,
    into: Buffer,
    options: UnsealOptions,
  ): void {
    const { pin, counter, value = 0n } = options
    if (pin !== undefined) {
      const auth = structOf("TPM2B_DIGEST", sized(pin))
      this.#esys.call("TR_SetAuth", object, auth)
      wipe(auth)
    }
    for (let tries = 1; ; tries += 1) {
      try {
        this.#withSessions((open) => {
          const encryption = open(HMAC_SESSION, parent, ENCRYPTED)
          // Salted, so that nobody who listens on the bus can try PINs on the answer.
          const policy = open(POLICY_SESSION, parent, CONTINUED)
          const selection = structOf("TPML_PCR_SELECTION", selectionOf(sealed.pcrs))
          if (sealed.pcrs.length > 0) this.#esys.call("PolicyPCR", policy, sessions(), NO_DATA, selection)
          if (sealed.hasPin) this.#esys.call("PolicyAuthValue", policy, sessions())
          if (counter !== undefined) this.#policyCounter(policy, counter, value)
          const out: unknown[] = [null]
          this.#esys.call("Unseal", object, sessions(policy, encryption), out)
          this.#esys.take(out[0], into)
        })
        return
      } catch (thrown) {
        const isStale = thrown instanceof TpmFault && thrown.rc === Rc.PCR_CHANGED
        if (!isStale || tries === MOST_TRIES) throw thrown
      }
    }
  }

  #policyCounter(policy: number, { handle }: Counter, value: bigint): void {
    const operand = structOf("TPM2B_DIGEST", sized(u64(value)))
    this.#esys.call("PolicyNV", ...[handle, handle, policy, sessions(PASSWORD_SESSION), operand, 0, 0])
  }

  /** Whatever `work` opens is flushed afterwards. */
  #withSessions<T>(work: (open: (type: number, salt: number, attributes: number) => number) => T): T {
    const opened: number[] = []
    try {
      return work((type, salt, attributes) => {
        const handle = this.#session(type, salt, attributes)
        opened.push(handle)
        return handle
      })
    } finally {
      for (const handle of opened) this.#esys.call("FlushContext", handle)
    }
  }

  /** A new counter at the first index that is free; its value is above that of every counter that this TPM ever had. */
  newCounter(): Counter {
    for (let index = FIRST_INDEX; index < FIRST_INDEX + INDEXES; index += 1) {
      const handle = this.#define(counterTemplate(index), EMPTY)
      if (handle === undefined) continue
      this.#esys.call("NV_Increment", handle, handle, sessions(PASSWORD_SESSION))
      return { index, handle, name: this.#nameOf(handle) }
    }
    throw new Fault("no-space", "the TPM has no room for another counter")
  }

  /** Undefined where there is something already. `session`: encrypts the authorization value. */
  #define(template: Buffer, auth: Uint8Array, session = NO_SESSION): number | undefined {
    const value = structOf("TPM2B_DIGEST", sized(auth))
    const area = structOf("TPM2B_NV_PUBLIC", template)
    try {
      return this.#esys.handle("NV_DefineSpace", OWNER, sessions(PASSWORD_SESSION, session), value, area)
    } catch (thrown) {
      if (thrown instanceof TpmFault && thrown.rc === Rc.NV_DEFINED) return undefined
      throw thrown
    } finally {
      wipe(value)
    }
  }

  /**
   * A note of some bytes (up to 64) at the first index that is free; read and written again only with `auth`: 32 bytes, not ending
   * in a zero, which never cross the bus in the clear.
   */
  newNote(auth: Uint8Array, bytes: Uint8Array): NotePlace {
    return this.#salted((session) => {
      for (let index = FIRST_INDEX; index < FIRST_INDEX + INDEXES; index += 1) {
        const handle = this.#define(noteTemplate(index, bytes.length), auth, session)
        if (handle === undefined) continue
        this.#writeNote(handle, auth, bytes, session)
        return { index, name: this.#nameOf(handle) }
      }
      throw new Fault("no-space", "the TPM has no room for another note")
    })
  }

  /** Writes a note anew. False where it is gone, or not the one of that name. Its cells wear out. */
  writeNote({ index, name }: NotePlace, auth: Uint8Array, bytes: Uint8Array): boolean {
    const note = this.openCounter(index, name)
    if (note === undefined) return false
    this.#salted((session) => this.#writeNote(note.handle, auth, bytes, session))
    return true
  }

  #writeNote(handle: number, auth: Uint8Array, bytes: Uint8Array, session: number): void {
    this.#authorize(handle, auth)
    this.#esys.call("NV_Write", handle, handle, sessions(session), structOf("TPM2B_DIGEST", sized(bytes)), 0)
  }

  /** What a note says; undefined where it is gone, or somebody made another one in its place. */
  readNote({ index, name }: NotePlace, auth: Uint8Array, length: number): Buffer | undefined {
    const note = this.openCounter(index, name)
    if (note === undefined) return undefined
    this.#authorize(note.handle, auth)
    try {
      return this.#salted((session) => {
        const out: unknown[] = [null]
        this.#esys.call("NV_Read", note.handle, note.handle, sessions(session), length, 0, out)
        return this.#esys.take(out[0])
      })
    } catch (thrown) {
      if (thrown instanceof TpmFault && thrown.rc === Rc.BAD_AUTH) return undefined
      throw thrown
    }
  }

  /** Gives a note's place back, if it is still there. */
  removeNote({ index, name }: NotePlace): void {
    const note = this.openCounter(index, name)
    if (note !== undefined) this.removeCounter(note)
  }

  #authorize(handle: number, auth: Uint8Array): void {
    const value = structOf("TPM2B_DIGEST", sized(auth))
    this.#esys.call("TR_SetAuth", handle, value)
    wipe(value)
  }

  /** Runs `work` with a session that encrypts both ways, salted with the storage root key. */
  #salted<T>(work: (session: number) => T): T {
    const parent = this.#parent()
    try {
      return this.#withSessions((open) => work(open(HMAC_SESSION, parent.handle, ENCRYPTED)))
    } finally {
      parent.done()
    }
  }

  /** The counter at an index; undefined when it is gone or not the one of that name. */
  openCounter(index: number, name: Buffer): Counter | undefined {
    let handle: number
    try {
      handle = this.#esys.handle("TR_FromTPMPublic", index, sessions())
    } catch (thrown) {
      if (thrown instanceof TpmFault && thrown.rc === Rc.HANDLE) return undefined
      throw thrown
    }
    return this.#nameOf(handle).equals(name) ? { index, name, handle } : undefined
  }

  read({ handle }: Counter): bigint {
    const out: unknown[] = [null]
    this.#esys.call("NV_Read", handle, handle, sessions(PASSWORD_SESSION), 8, 0, out)
    return this.#esys.take(out[0]).readBigUInt64BE()
  }

  /** Counts up by one. Cells of a TPM wear out: for rotations, not for every use. */
  increment(counter: Counter): bigint {
    const { handle } = counter
    this.#esys.call("NV_Increment", handle, handle, sessions(PASSWORD_SESSION))
    return this.read(counter)
  }

  /** Gives the counter's place back; whatever is sealed to it never opens again. */
  removeCounter({ handle }: Counter): void {
    this.#esys.call("NV_UndefineSpace", OWNER, handle, sessions(PASSWORD_SESSION))
  }

  /**
   * Signs a SHA-256 digest (32 bytes) with a key that never leaves the TPM, the same one for the same `unique` (up to 32 bytes)
   * until the TPM is cleared: r and s, 32 bytes each, and the public key as x and y.
   */
  sign(unique: Uint8Array, digest: Buffer): { readonly signature: Buffer; readonly publicKey: Buffer } {
    const place = Buffer.alloc(DIGEST_BYTES)
    place.set(unique)
    const key = this.#primary(signingTemplate(place))
    try {
      const [publicOut, signatureOut]: [unknown[], unknown[]] = [[null], [null]]
      this.#esys.call("ReadPublic", key, sessions(), publicOut, null, null)
      const area = this.#esys.wireOf("TPM2B_PUBLIC", publicOut[0])
      this.#esys.call(
        "Sign",
        ...[key, sessions(PASSWORD_SESSION), structOf("TPM2B_DIGEST", sized(digest))],
        ...[
          structOf("TPMT_SIG_SCHEME", ECDSA_SHA256),
          structOf("TPMT_TK_HASHCHECK", NO_TICKET),
          signatureOut,
        ],
      )
      const wire = this.#esys.wireOf("TPMT_SIGNATURE", signatureOut[0])
      // Scheme and hash, then r and s with their lengths; of the public area, x and y stand last.
      const signature = halves(wire, 4)
      return { signature, publicKey: halves(area, lastOf(area)) }
    } finally {
      this.#esys.call("FlushContext", key)
    }
  }

  /** How far the TPM is from refusing PINs for a while. */
  lockout(): Lockout {
    const out: unknown[] = [null]
    const more = Buffer.alloc(8)
    this.#esys.call(
      "GetCapability",
      ...[sessions(), CAP_TPM_PROPERTIES, PT_LOCKOUT_COUNTER, LOCKOUT_PROPERTIES, more, out],
    )
    return lockoutOf(this.#esys.wireOf("TPMS_CAPABILITY_DATA", out[0]))
  }

  [Symbol.dispose](): void {
    this.#esys[Symbol.dispose]()
  }
}
