/**
 * Zstandard (RFC 8878) by the system's libzstd, which package managers and systemd themselves need: Node 20 has none. Its
 * one-shot calls write into a buffer of ours and never beyond it, with contexts that are made once.
 */
import { bindFrom, type Native } from "./ffi.ts"

const SONAME = "libzstd.so.1"

type Compress = Native<
  [context: unknown, out: Buffer, room: number, data: Uint8Array, length: number, level: number],
  number
>
type Decompress = Native<
  [context: unknown, out: Buffer, room: number, data: Uint8Array, length: number],
  number
>

interface Functions {
  readonly compress: Compress
  readonly compressContext: unknown
  readonly decompress: Decompress
  readonly decompressContext: unknown
}

/** Results are size_t, errors the highest values of it: read as signed numbers, they are below 0. */
function load(): Functions | null {
  const bind = bindFrom(SONAME)
  if (bind === undefined) return null
  const compressContext = bind<[], unknown>("void* ZSTD_createCCtx()")()
  const decompressContext = bind<[], unknown>("void* ZSTD_createDCtx()")()
  if (compressContext === null || decompressContext === null) return null
  return {
    compressContext,
    decompressContext,
    compress: bind("int64_t ZSTD_compressCCtx(void*, void*, size_t, const void*, size_t, int)"),
    decompress: bind("int64_t ZSTD_decompressDCtx(void*, void*, size_t, const void*, size_t)"),
  }
}

let loaded: Functions | null | undefined

/** Loaded when it is first needed, by each thread for itself: contexts are not to be shared. */
function functions(): Functions | null {
  loaded ??= load()
  return loaded
}

/** Whether this machine has it. */
export function hasZstd(): boolean {
  return functions() !== null
}

/** Compresses `data` into `out`. Returns the length, or undefined if it does not fit or there is no libzstd. */
export function zstdCompress(data: Uint8Array, level: number, out: Buffer): number | undefined {
  const zstd = functions()
  const length = zstd?.compress(zstd.compressContext, out, out.length, data, data.length, level) ?? -1
  return length < 0 ? undefined : length
}

/** Decompresses one frame into `out`. Returns the length, or undefined for what is no frame or does not fit. */
export function zstdDecompress(data: Uint8Array, out: Buffer): number | undefined {
  const zstd = functions()
  const length = zstd?.decompress(zstd.decompressContext, out, out.length, data, data.length) ?? -1
  return length < 0 ? undefined : length
}
