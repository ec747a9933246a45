/**
 * What a store's files went through, in the terms of a disk: bytes written, sizes changed, names made and removed, syncs;
 * and in between what programs were told. Written once from strace's text, read by every judge.
 */
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import type { Mark } from "./marks.ts"
import { numbersOf, pathOf, readCalls, stringsOf, type Call } from "./strace.ts"

export type DiskOp =
  /** `data`: where the bytes lie in the recording's data. */
  | {
      readonly op: "write"
      readonly file: number
      readonly at: number
      readonly length: number
      readonly data: number
    }
  | { readonly op: "truncate"; readonly file: number; readonly size: number }
  | { readonly op: "create"; readonly name: string; readonly file: number }
  | { readonly op: "unlink"; readonly name: string }
  /** Covers the operations before number `since`: those that had returned when it began. */
  | { readonly op: "sync"; readonly file: number; readonly since: number }
  | { readonly op: "syncDirectory"; readonly name: string; readonly since: number }
  | { readonly op: "mark"; readonly mark: Mark }

export interface Recording {
  readonly ops: readonly DiskOp[]
  /** Files that were there before, by name. */
  readonly initial: readonly { readonly name: string; readonly file: number }[]
  readonly data: Buffer
}

const OPS = "ops.json"
const DATA = "data.bin"
export const INITIAL = "initial"
/** The key files of encrypted trees. */
export const KEYS = "keys"

/** The files that matter; the journal is void after a power cut, meta.db-shm never matters. */
export const isStoreFile = (name: string): boolean =>
  name === "meta.db" || name === "meta.db-wal" || /^segments\/\d{8}\.seg$/.test(name)

export function readRecording(directory: string): Recording {
  const { ops, initial } = JSON.parse(readFileSync(join(directory, OPS), "utf8")) as Omit<Recording, "data">
  return { ops, initial, data: readFileSync(join(directory, DATA)) }
}

export interface Sources {
  readonly trace: string
  readonly store: string
  readonly marks: string
  /** Names of the store's files before. */
  readonly initial: readonly string[]
}

export interface Size {
  readonly operations: number
  /** Segments that were begun. */
  readonly segments: number
  /** Bytes in the longest of them. */
  readonly longest: number
}

/** Translates strace's text. */
export async function writeRecording(directory: string, sources: Sources): Promise<Size> {
  const data = openSync(join(directory, DATA), "w")
  const translator = new Translator(sources, data)
  for await (const call of readCalls(sources.trace)) translator.take(call)
  closeSync(data)
  const { ops, initial } = translator
  writeFileSync(join(directory, OPS), JSON.stringify({ ops, initial }))
  const segments = ops.flatMap((op) => (op.op === "create" && op.name.endsWith(".seg") ? [op.file] : []))
  const longest = ops.reduce(
    (most, op) =>
      op.op === "write" && segments.includes(op.file) ? Math.max(most, op.at + op.length) : most,
    0,
  )
  return { operations: ops.length, segments: segments.length, longest }
}

class Translator {
  readonly ops: DiskOp[] = []
  readonly initial: { name: string; file: number }[] = []
  readonly #sources: Sources
  readonly #data: number
  readonly #files = new Map<string, number>()
  /** Number of operations after so many calls. */
  readonly #opsAfter = [0]
  #nextFile = 1
  #dataEnd = 0

  constructor(sources: Sources, data: number) {
    this.#sources = sources
    this.#data = data
    for (const name of sources.initial) this.initial.push({ name, file: this.#newFile(name) })
  }

  #newFile(name: string): number {
    const file = this.#nextFile
    this.#nextFile += 1
    this.#files.set(name, file)
    return file
  }

  take(call: Call): void {
    this.#translate(call)
    this.#opsAfter.push(this.ops.length)
  }

  #translate(call: Call): void {
    const { name, args } = call
    if (name === "openat") this.#open(call)
    else if (name.startsWith("unlink")) this.#unlink(call)
    else {
      const path = pathOf(args)
      if (path !== undefined) this.#use(call, path)
    }
  }

  /** A call on an open file or directory. */
  #use(call: Call, path: string): void {
    const { name, args } = call
    // Begins to write; promises nothing.
    if (name === "sync_file_range") return
    if (path === this.#sources.marks) {
      const mark = JSON.parse(Buffer.concat(stringsOf(args)).toString()) as Mark
      this.ops.push({ op: "mark", mark })
      return
    }
    const since = this.#opsAfter[call.since] ?? 0
    const relativePath = relative(this.#sources.store, path)
    const isSync = name === "fsync" || name === "fdatasync"
    if (isSync && (relativePath === "" || relativePath === "segments")) {
      this.ops.push({ op: "syncDirectory", name: relativePath === "" ? "." : relativePath, since })
      return
    }
    const file = this.#files.get(relativePath)
    if (file === undefined) throw new Error(`strace: ${name} on ${relativePath}, which is not there`)
    if (isSync) this.ops.push({ op: "sync", file, since })
    else this.#change(call, file)
  }

  #open({ args, result }: Call): void {
    const path = pathOf(result)
    const name = path === undefined ? "" : relative(this.#sources.store, path)
    if (!isStoreFile(name)) return
    if (args.includes("O_TRUNC") && this.#files.has(name)) throw new Error(`${name} was opened with O_TRUNC`)
    if (this.#files.has(name) || !args.includes("O_CREAT")) return
    this.ops.push({ op: "create", name, file: this.#newFile(name) })
  }

  #unlink({ args }: Call): void {
    const name = relative(this.#sources.store, stringsOf(args)[0]?.toString() ?? "")
    if (!this.#files.delete(name)) return
    this.ops.push({ op: "unlink", name })
  }

  #change({ name, args, result }: Call, file: number): void {
    switch (name) {
      case "ftruncate": {
        this.ops.push({ op: "truncate", file, size: numbersOf(args, 1)[0] ?? 0 })
        return
      }
      case "pwrite64":
      case "pwritev": {
        const bytes = Buffer.concat(stringsOf(args)).subarray(0, Number(result))
        const at = numbersOf(args, 1)[0] ?? 0
        this.ops.push({ op: "write", file, at, length: bytes.length, data: this.#dataEnd })
        writeSync(this.#data, bytes)
        this.#dataEnd += bytes.length
        return
      }
      default:
        throw new Error(`strace: ${name} is not expected on a file of a store`)
    }
  }
}

/** The directory of a name in the store. */
export const directoryOf = (name: string): string => dirname(name)
