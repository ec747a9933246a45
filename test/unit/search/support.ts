/** An index in a temporary directory, filled from a table of files. Splitting is the simplest that there is: at blank lines. */
import { createHash } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Chunk, ExtractedText, TextKind } from "../../../clawfs/search/document.ts"
import { prepareText } from "../../../clawfs/search/index/prepare.ts"
import { dumpIndex } from "../../../clawfs/search/index/dump.ts"
import { IndexReader } from "../../../clawfs/search/index/reader.ts"
import { IndexWriter, type IndexedFile } from "../../../clawfs/search/index/writer.ts"

export class TestIndex implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "clawfs-index-"))
  writer = new IndexWriter(this.directory)

  /** Puts a file in, in a transaction of its own. */
  put(ino: number, path: string, text: string, options: Partial<ExtractedText & IndexedFile> = {}) {
    return this.writer.transact(() => {
      const changes = this.writer.replaceDocument(
        fileOf(ino, text, options),
        prepareText(textOf(text, options), split(text)),
      )
      this.writer.setPaths(ino, [Buffer.from(path)])
      return changes
    })
  }

  reader(): IndexReader {
    return new IndexReader(this.directory)
  }

  dump(): string[] {
    using reader = this.reader()
    return [...dumpIndex(reader)]
  }

  [Symbol.dispose](): void {
    this.writer[Symbol.dispose]()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

export function fileOf(ino: number, text: string, options: Partial<IndexedFile> = {}): IndexedFile {
  return {
    ...{ ino, hash: createHash("sha256").update(text).digest(), state: "indexed", error: "" },
    ...{ size: Buffer.byteLength(text), mtime: 1_700_000_000, mtimeNanos: 0 },
    ...pick(options, ["state", "error", "size", "mtime", "mtimeNanos"]),
  }
}

export function textOf(text: string, options: Partial<ExtractedText> = {}): ExtractedText {
  const kind: TextKind = "prose"
  return {
    ...{ kind, extractor: "text", title: "", text, isVerbatim: true, isWhole: true },
    ...pick(options, ["kind", "extractor", "title", "isVerbatim", "isWhole"]),
  }
}

function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Partial<Pick<T, K>> {
  return Object.fromEntries(keys.filter((key) => key in from).map((key) => [key, from[key]])) as Partial<
    Pick<T, K>
  >
}

/** Parts between blank lines, with their places. */
export function split(text: string): Chunk[] {
  let at = 0
  let line = 1
  return text.split(/(\n\n+)/).flatMap((part, i) => {
    const start = at
    const firstLine = line
    at += Buffer.byteLength(part)
    line += part.split("\n").length - 1
    return i % 2 === 1 || part === ""
      ? []
      : [{ start, end: at, firstLine, lastLine: line, heading: "", text: part }]
  })
}
