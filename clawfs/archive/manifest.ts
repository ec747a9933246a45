/** `manifest.json`: JSON, laid out in lines so that it can be written and compared piece by piece. */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { EXPORT_FORMAT, ExportBeginning, ExportEnd } from "../../schema/export-manifest.ts"
import { Fault } from "../core/fault.ts"
import { VERSION } from "../core/version.ts"
import type { ArchiveReader, Own } from "./reader.ts"

const STEP = 64 * 1024
/** Longer than any line that is written: the names of all attributes that a file can have. */
const MOST_LINE = 16 * 1024 * 1024
const NEWLINE = 0x0a

/** Kept in a file without a name until the tree is written, as it stands behind it. */
export class ManifestSpool implements Disposable {
  readonly #fd: number
  #length = 0
  #entries = 0

  constructor(source: string) {
    const directory = mkdtempSync(join(tmpdir(), "clawfs-export-"))
    this.#fd = openSync(join(directory, "manifest"), "wx+", 0o600)
    rmSync(directory, { recursive: true })
    const beginning: ExportBeginning = {
      ...{ format: EXPORT_FORMAT, clawfs: VERSION, made: new Date().toISOString(), source },
    }
    this.#write(`${JSON.stringify(beginning).slice(0, -1)},"entries":[`)
  }

  get length(): number {
    return this.#length
  }

  add(line: string): void {
    this.#write(`${this.#entries === 0 ? "" : ","}\n${line}`)
    this.#entries += 1
  }

  end(end: ExportEnd): void {
    this.#write(`\n],${JSON.stringify(end).slice(1)}\n`)
  }

  *chunks(): Generator<Buffer> {
    const chunk = Buffer.alloc(STEP)
    for (let at = 0; at < this.#length;) {
      const got = readSync(this.#fd, chunk, 0, chunk.length, at)
      yield chunk.subarray(0, got)
      at += got
    }
  }

  #write(text: string): void {
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at)
    this.#length += bytes.length
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}

/** The manifest of an archive, line by line. Throws `Fault("corrupt")` for one that is laid out otherwise. */
export class ManifestLines {
  readonly beginning: ExportBeginning
  readonly #lines: Generator<string>
  #next: string

  constructor(archive: ArchiveReader, own: Own) {
    this.#lines = linesOf(archive, own)
    const first = this.#line()
    if (!first.endsWith(',"entries":[')) throw damaged(archive)
    const parsed = ExportBeginning.safeParse(jsonIn(`${first.slice(0, -',"entries":['.length)}}`, archive))
    if (!parsed.success) throw damaged(archive)
    this.beginning = parsed.data
    this.#next = this.#line()
    this.#archive = archive
  }

  readonly #archive: ArchiveReader

  /** The line of the next entry; undefined behind the last. */
  next(): string | undefined {
    if (this.#next.startsWith("],")) return undefined
    const line = this.#next
    this.#next = this.#line()
    const isLast = this.#next.startsWith("],")
    if (line.endsWith(",") === isLast) throw damaged(this.#archive)
    return isLast ? line : line.slice(0, -1)
  }

  /** What stands behind the last entry. */
  end(): ExportEnd {
    const parsed = ExportEnd.safeParse(jsonIn(`{${this.#next.slice(2)}`, this.#archive))
    if (!parsed.success || this.#lines.next().done !== true) throw damaged(this.#archive)
    return parsed.data
  }

  #line(): string {
    const { value } = this.#lines.next() as IteratorResult<string, undefined>
    return value ?? ""
  }
}

function* linesOf(archive: ArchiveReader, { from, length }: Own): Generator<string> {
  let rest: Buffer = Buffer.alloc(0)
  for (let at = 0; at < length;) {
    const chunk = archive.read(Buffer.alloc(Math.min(STEP, length - at)), from + at)
    at += chunk.length
    rest = Buffer.concat([rest, chunk])
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
      yield rest.toString("utf8", 0, end)
      rest = rest.subarray(end + 1)
    }
    if (rest.length > MOST_LINE) throw damaged(archive)
  }
  if (rest.length > 0) throw damaged(archive)
}

function jsonIn(text: string, archive: ArchiveReader): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Fault("corrupt", damaged(archive).message, { cause })
  }
}

function damaged({ path }: ArchiveReader): Fault {
  return new Fault("corrupt", `the manifest of ${path} is damaged`)
}
