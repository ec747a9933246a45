/** The disk of a program that runs below test/faults/shim.c: which calls on it fail, told through a file that both map. */
import { spawnSync } from "node:child_process"
import { closeSync, openSync, readSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"

const Word = { SEEN: 0, AT: 1, ERRNO: 2, MODE: 3, ROOM: 4, KINDS: 5, FIRED: 6 } as const
const WORDS = 7

/** Which calls count: those that change something, those that sync, those that read. */
export const Kind = { CHANGE: 1, SYNC: 2, READ: 4 } as const

/**
 * once: one call fails. short: one write stops half-way. all: every call from then on fails. full: from then on only what
 * takes room fails.
 */
export const Mode = { once: 1, all: 2, full: 3, short: 4 } as const

export interface Fault {
  readonly mode: keyof typeof Mode
  readonly errno: number
  /** How many more calls succeed. */
  readonly after: number
  /** Bits of `Kind`; changes unless told otherwise. */
  readonly kinds?: number
}

/** Compiles the shim; a reason when that is not possible. */
export function compileShim(source: string, library: string): string | undefined {
  const compiled = spawnSync("cc", ["-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], {
    encoding: "utf8",
  })
  return compiled.status === 0 ? undefined : `the shim can't be compiled: ${compiled.stderr}`
}

/** The environment of a program whose calls on `directory` go through the shim. */
export function environment(library: string, directory: string, control: string): Record<string, string> {
  return { LD_PRELOAD: library, FAULTS_DIR: directory, FAULTS_CONTROL: control }
}

export class Faults implements Disposable {
  readonly #fd: number

  /** `control` is made unless it is there already. */
  constructor(control: string, isNew = true) {
    if (isNew) writeFileSync(control, Buffer.alloc(8 * WORDS))
    this.#fd = openSync(control, "r+")
  }

  static in(directory: string): Faults {
    return new Faults(join(directory, "control"))
  }

  #get(word: number): number {
    const bytes = Buffer.alloc(8)
    readSync(this.#fd, bytes, 0, 8, 8 * word)
    return Number(bytes.readBigInt64LE(0))
  }

  #set(word: number, value: number): void {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(value))
    writeSync(this.#fd, bytes, 0, 8, 8 * word)
  }

  /** Calls of the counted kinds so far. */
  get seen(): number {
    return this.#get(Word.SEEN)
  }

  /** Calls that failed since `arm`. */
  get fired(): number {
    return this.#get(Word.FIRED)
  }

  /** Nothing fails; calls of these kinds are counted. */
  count(kinds: number = Kind.CHANGE): void {
    this.#set(Word.MODE, 0)
    this.#set(Word.KINDS, kinds)
  }

  arm({ mode, errno, after, kinds = Kind.CHANGE }: Fault): void {
    this.count(kinds)
    this.#set(Word.FIRED, 0)
    this.#set(Word.ROOM, 0)
    this.#set(Word.ERRNO, errno)
    this.#set(Word.AT, this.seen + after + 1)
    this.#set(Word.MODE, Mode[mode])
  }

  /** All is well again. */
  clear(): void {
    this.#set(Word.MODE, 0)
    this.#set(Word.KINDS, 0)
  }

  [Symbol.dispose](): void {
    this.clear()
    closeSync(this.#fd)
  }
}
