/**
 * TPM 2.0 by the system's tpm2-tss (Debian and Ubuntu: libtss2-esys-3.0.2-0, libtss2-mu0, libtss2-tctildr0, libtss2-rc0): the
 * functions of its Enhanced System API that ClawFS uses. No C struct is declared here: structs are opaque buffers, larger
 * than any of them, and libtss2-mu turns the wire form of "TPM 2.0 Library, Part 2: Structures" into them and back.
 */
import { Fault, type FaultKind } from "../core/fault.ts"
import { bindFrom, viewOf, type Native } from "./ffi.ts"
import { setenv } from "./libc.ts"

/** The largest struct, TPM2B_PRIVATE, has some 1,550 bytes. */
const STRUCT_BYTES = 4096

/** Response codes (TPM 2.0 Part 2, section 6.6) without what says which handle, parameter or session is meant. */
export const Rc = {
  INITIALIZE: 0x100,
  POLICY: 0x126,
  PCR_CHANGED: 0x128,
  LOCKOUT: 0x921,
  HANDLE: 0x8b,
  AUTH_FAIL: 0x8e,
  BAD_AUTH: 0xa2,
  POLICY_FAIL: 0x9d,
  INTEGRITY: 0x9f,
  NV_DEFINED: 0x14c,
} as const

const FORMAT_ONE = 0x80
const LAYER = 0xff_0000

/** A TPM command that failed. `rc` is one of `Rc`, or another code; `isTransport`: the TPM was not reached at all. */
export class TpmFault extends Fault {
  readonly rc: number
  readonly isTransport: boolean

  constructor(call: string, code: number, text: string) {
    const isTransport = (code & LAYER) !== 0
    const rc = (code & FORMAT_ONE) !== 0 ? code & 0xbf : code & 0xfff
    const hint = rc === Rc.LOCKOUT && !isTransport ? "clawfs vault doctor tells for how long" : undefined
    super(kindOf(rc, isTransport), `TPM, ${call}: ${text} (0x${code.toString(16)})`, { hint })
    this.rc = rc
    this.isTransport = isTransport
  }
}

function kindOf(rc: number, isTransport: boolean): FaultKind {
  if (isTransport) return "unsupported"
  const denials: readonly number[] = [Rc.AUTH_FAIL, Rc.BAD_AUTH, Rc.POLICY_FAIL, Rc.POLICY, Rc.INTEGRITY]
  if (denials.includes(rc)) return "denied"
  return rc === Rc.LOCKOUT ? "busy" : "io"
}

type Code = number
type Out = unknown[]
type Sessions = readonly [number, number, number]

/** Three sessions at most go with a command; this one is none. */
export const NO_SESSION = 0xfff
export const PASSWORD_SESSION = 0xff
export const OWNER = 0x101
const NONE: Sessions = [NO_SESSION, NO_SESSION, NO_SESSION]

export const STRUCTS = [
  "TPM2B_PUBLIC",
  "TPM2B_PRIVATE",
  "TPM2B_SENSITIVE_CREATE",
  "TPM2B_NV_PUBLIC",
  "TPM2B_DIGEST",
  "TPML_PCR_SELECTION",
  "TPML_DIGEST",
  "TPML_DIGEST_VALUES",
  "TPMT_SYM_DEF",
  "TPMS_CAPABILITY_DATA",
  "TPMT_SIG_SCHEME",
  "TPMT_SIGNATURE",
  "TPMT_TK_HASHCHECK",
] as const
export type Struct = (typeof STRUCTS)[number]

type Marshal = Native<[source: unknown, into: Buffer, size: number, offset: bigint[]], Code>
type Unmarshal = Native<[from: Buffer, size: number, offset: bigint[], into: Buffer], Code>

const S3 = "uint32_t, uint32_t, uint32_t"

/** Every function: its name without `Esys_`, and its parameters behind the context. */
const ESYS = {
  Startup: "uint16_t",
  CreatePrimary: `uint32_t, ${S3}, void*, void*, void*, void*, _Out_ uint32_t*, void*, void*, void*, void*`,
  Create: `uint32_t, ${S3}, void*, void*, void*, void*, _Out_ void**, _Out_ void**, void*, void*, void*`,
  Load: `uint32_t, ${S3}, void*, void*, _Out_ uint32_t*`,
  Unseal: `uint32_t, ${S3}, _Out_ void**`,
  StartAuthSession: `uint32_t, uint32_t, ${S3}, void*, uint8_t, void*, uint16_t, _Out_ uint32_t*`,
  TRSess_SetAttributes: "uint32_t, uint8_t, uint8_t",
  PolicyPCR: `uint32_t, ${S3}, void*, void*`,
  PolicyAuthValue: `uint32_t, ${S3}`,
  PolicyNV: `uint32_t, uint32_t, uint32_t, ${S3}, void*, uint16_t, uint16_t`,
  TR_SetAuth: "uint32_t, void*",
  TR_FromTPMPublic: `uint32_t, ${S3}, _Out_ uint32_t*`,
  TR_Close: "_Inout_ uint32_t*",
  TR_GetName: "uint32_t, _Out_ void**",
  FlushContext: "uint32_t",
  ReadPublic: `uint32_t, ${S3}, _Out_ void**, void*, void*`,
  Sign: `uint32_t, ${S3}, void*, void*, void*, _Out_ void**`,
  PCR_Read: `${S3}, void*, _Out_ uint32_t*, void*, _Out_ void**`,
  PCR_Extend: `uint32_t, ${S3}, void*`,
  GetCapability: `${S3}, uint32_t, uint32_t, uint32_t, void*, _Out_ void**`,
  NV_DefineSpace: `uint32_t, ${S3}, void*, void*, _Out_ uint32_t*`,
  NV_UndefineSpace: `uint32_t, uint32_t, ${S3}`,
  NV_Increment: `uint32_t, uint32_t, ${S3}`,
  NV_Write: `uint32_t, uint32_t, ${S3}, void*, uint16_t`,
  NV_Read: `uint32_t, uint32_t, ${S3}, uint16_t, uint16_t, _Out_ void**`,
} as const
export type EsysName = keyof typeof ESYS

type Arg = number | Buffer | null | Out | Sessions

interface Library {
  readonly esys: ReadonlyMap<string, Native<unknown[], Code>>
  readonly marshal: ReadonlyMap<Struct, Marshal>
  readonly unmarshal: ReadonlyMap<Struct, Unmarshal>
  readonly initialize: Native<[context: Out, tcti: unknown, abi: null], Code>
  readonly finalize: Native<[context: Out], void>
  readonly free: Native<[pointer: unknown], void>
  readonly openTcti: Native<[configuration: string, context: Out], Code>
  readonly closeTcti: Native<[context: Out], void>
  readonly explain: Native<[code: number], string>
}

let loaded: Library | null | undefined

function library(): Library {
  loaded ??= load()
  if (loaded !== null) return loaded
  throw new Fault("unsupported", "this machine lacks tpm2-tss, which speaks to a TPM", {
    hint: "apt-get install libtss2-esys-3.0.2-0 libtss2-tcti-device0 (or libtss2-esys0)",
  })
}

/** Whether the libraries are there; a TPM may be missing all the same. */
export function hasTss2(): boolean {
  return (loaded ??= load()) !== null
}

function load(): Library | null {
  // It logs each expected failure to stderr otherwise.
  setenv("TSS2_LOG", "all+none", 0)
  const [esys, mu] = [bindFrom("libtss2-esys.so.0"), bindFrom("libtss2-mu.so.0")]
  const [loader, rc] = [bindFrom("libtss2-tctildr.so.0"), bindFrom("libtss2-rc.so.0")]
  if (esys === undefined || mu === undefined || loader === undefined || rc === undefined) return null
  const names = Object.entries(ESYS)
  return {
    esys: new Map(names.map(([name, rest]) => [name, esys(`uint32_t Esys_${name}(void*, ${rest})`)])),
    marshal: new Map(
      STRUCTS.map((name) => [
        name,
        mu(`uint32_t Tss2_MU_${name}_Marshal(void*, void*, size_t, _Inout_ size_t*)`),
      ]),
    ),
    unmarshal: new Map(
      STRUCTS.map((name) => [
        name,
        mu(`uint32_t Tss2_MU_${name}_Unmarshal(void*, size_t, _Inout_ size_t*, void*)`),
      ]),
    ),
    initialize: esys("uint32_t Esys_Initialize(_Out_ void**, void*, void*)"),
    finalize: esys("void Esys_Finalize(_Inout_ void**)"),
    free: esys("void Esys_Free(void*)"),
    openTcti: loader("uint32_t Tss2_TctiLdr_Initialize(const char*, _Out_ void**)"),
    closeTcti: loader("void Tss2_TctiLdr_Finalize(_Inout_ void**)"),
    explain: rc("const char* Tss2_RC_Decode(uint32_t)"),
  }
}

/** The C struct of a wire form. The caller wipes it if it holds a secret. */
export function structOf(name: Struct, wire: Buffer): Buffer {
  const out = Buffer.from(new ArrayBuffer(STRUCT_BYTES))
  const code = library().unmarshal.get(name)?.(wire, wire.length, [0n], out) ?? 1
  if (code !== 0) throw new TpmFault(`unmarshal ${name}`, code, library().explain(code))
  return out
}

/**
 * A connection to the TPM that a TCTI configuration names, such as "device:/dev/tpmrm0". After a transport failure it is
 * dead, so connections are made for each piece of work.
 */
export class Esys implements Disposable {
  readonly #library = library()
  readonly #tcti: Out = [null]
  readonly #context: Out = [null]

  constructor(tcti: string) {
    const { openTcti, closeTcti, initialize } = this.#library
    this.#ok("open", openTcti(tcti, this.#tcti))
    try {
      this.#ok("initialize", initialize(this.#context, this.#tcti[0], null))
    } catch (thrown) {
      closeTcti(this.#tcti)
      throw thrown
    }
  }

  #ok(call: string, code: Code): void {
    if (code !== 0) throw new TpmFault(call, code >>> 0, this.#library.explain(code >>> 0))
  }

  /** Calls `Esys_name`; a triple of sessions is spread over the three parameters that they take. */
  call(name: EsysName, ...args: readonly Arg[]): void {
    const flat = args.flatMap((arg) => (isSessions(arg) ? [...arg] : [arg]))
    const run = this.#library.esys.get(name)
    this.#ok(name, run?.(this.#context[0], ...flat) ?? 1)
  }

  /** A call whose last parameter is a handle that it returns. */
  handle(name: EsysName, ...args: readonly Arg[]): number {
    const out: Out = [0]
    this.call(name, ...args, out)
    return Number(out[0])
  }

  /** The bytes of a TPM2B that a call returned, copied into `into` (or a new buffer); the library's own are wiped. */
  take(pointer: unknown, into?: Buffer): Buffer {
    const length = new DataView(viewOf(pointer, 2)).getUint16(0, true)
    const foreign = Buffer.from(viewOf(pointer, 2 + length))
    const out = into ?? Buffer.from(new ArrayBuffer(length))
    const fits = out.length === length
    if (fits) foreign.copy(out, 0, 2)
    foreign.fill(0)
    this.#library.free(pointer)
    if (!fits) throw new Fault("corrupt", `the TPM gave ${length} bytes instead of ${out.length}`)
    return out
  }

  /** The wire form of a struct that a call returned. */
  wireOf(name: Struct, pointer: unknown): Buffer {
    const out = Buffer.alloc(STRUCT_BYTES)
    const offset = [0n]
    const code = this.#library.marshal.get(name)?.(pointer, out, out.length, offset) ?? 1
    this.#library.free(pointer)
    this.#ok(`marshal ${name}`, code)
    return Buffer.from(out.subarray(0, Number(offset[0])))
  }

  [Symbol.dispose](): void {
    if (this.#context[0] === null) return
    this.#library.finalize(this.#context)
    this.#library.closeTcti(this.#tcti)
    this.#context[0] = null
  }
}

function isSessions(arg: Arg): arg is Sessions {
  return Array.isArray(arg) && arg.length === 3
}

/** The sessions of a command, in order; the rest are none. */
export function sessions(first = NO_SESSION, second = NO_SESSION): Sessions {
  return first === NO_SESSION ? NONE : [first, second, NO_SESSION]
}
