/** The work of `clawfs search --grep`: in this process, as a pattern can be made that takes for ever. */
import { closeSync, constants, fstatSync, openSync } from "node:fs"
import { join } from "node:path"
import { call } from "../../api/client.ts"
import { Fault } from "../../core/fault.ts"
import { isRefusal } from "../../search/extract/extraction.ts"
import { Extractor } from "../../search/extract/extractor.ts"
import { fileSource } from "../../search/extract/source.ts"
import { IndexReader } from "../../search/index/reader.ts"
import { grep } from "../../search/query/grep.ts"
import type { SearchInvocation } from "../commands/search.ts"
import { ExitCode } from "../exit-code.ts"
import { mountHere } from "../mount-here.ts"
import { belowOf } from "./search.ts"

export async function runGrep({ values, operands, terminal }: SearchInvocation): Promise<ExitCode> {
  const [pattern = "", directory] = operands
  const place = mountHere(directory)
  const below = belowOf(place)
  // What was written before is to be found.
  const { isFresh } = (await call(place.store, "index.catch-up", {})) as { isFresh: boolean }
  if (!isFresh) terminal.note("the index is not up to date yet: what was written last may be missing")
  using reader = openIndex(place.store)
  await using texts = new Texts(reader, place.mountpoint)
  const matches = grep(reader, pattern, (ino) => texts.read(ino), {
    isCaseless: values["ignore-case"] === true,
    isLiteral: values.fixed === true,
    selection: below === "" ? {} : { below: [Buffer.from(below)] },
  })
  const prefix = directory === undefined ? place.mountpoint : directory.replace(/(?<=.)\/+$/, "")
  let count = 0
  for await (const { path, line, text } of matches) {
    const rest = path.subarray(below === "" ? 0 : Buffer.byteLength(below) + 1).toString()
    const shown = rest === "" ? prefix : join(prefix === "." ? "./" : prefix, rest)
    terminal.out(`${prefix === "." && !shown.startsWith(".") ? `./${shown}` : shown}:${line}:${text}`)
    count += 1
  }
  return count > 0 ? ExitCode.OK : ExitCode.NO
}

function openIndex(store: string): IndexReader {
  try {
    return new IndexReader(join(store, "index"))
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "EACCES")
      throw new Fault("denied", "no permission to read the index of the store", { cause: thrown })
    throw thrown
  }
}

/** The texts of files as they are on the mount now, extracted as for the index. */
class Texts implements AsyncDisposable {
  readonly #reader: IndexReader
  readonly #mountpoint: Buffer
  readonly #extractor = new Extractor()

  constructor(reader: IndexReader, mountpoint: string) {
    this.#reader = reader
    this.#mountpoint = Buffer.from(`${mountpoint}/`)
  }

  /** Undefined: it is gone, or has no text. */
  async read(ino: number): Promise<string | undefined> {
    for (const path of this.#reader.document(ino)?.paths ?? []) {
      const fd = openFile(Buffer.concat([this.#mountpoint, path]))
      if (fd === undefined) continue
      try {
        if (fstatSync(fd).ino !== ino) continue
        const name = path.subarray(path.lastIndexOf("/") + 1).toString()
        const extraction = await this.#extractor.extract(name, fileSource(fd))
        return isRefusal(extraction) ? undefined : extraction.text
      } finally {
        closeSync(fd)
      }
    }
    return undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#extractor[Symbol.asyncDispose]()
  }
}

/** Undefined for what is gone, or no file any more. */
function openFile(path: Buffer): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (thrown) {
    const { code = "" } = thrown as NodeJS.ErrnoException
    if (["ENOENT", "ENOTDIR", "ELOOP", "ENXIO", "EACCES", "ENOKEY"].includes(code)) return undefined
    throw thrown
  }
}
