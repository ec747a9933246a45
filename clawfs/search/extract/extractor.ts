/** A file's text, whatever the file is: plain texts are read here, everything that could hurt in a process of its own. */
import { decode } from "./encoding.ts"
import { detectBytes, detectText, firstOf, type ContainerFormat } from "./detect.ts"
import { isRefusal, Refused, refuse, type Extraction, type Refusal } from "./extraction.ts"
import { ExtractorChild } from "./extractor-child.ts"
import { DEFAULT_LIMITS, type Limits } from "./limits.ts"
import type { NameHint } from "./names.ts"
import { plainDocument, readPlain, type PlainFormat } from "./plain.ts"
import type { ContentSource } from "./source.ts"

/** Of a large file's start, what is decoded to see what it is. */
const SAMPLE = 8192

export class Extractor implements AsyncDisposable {
  readonly #limits: Limits
  readonly #child: ExtractorChild

  /** @param options.program the compiled child-main, for tests. */
  constructor(options: { readonly limits?: Limits; readonly program?: string } = {}) {
    this.#limits = options.limits ?? DEFAULT_LIMITS
    this.#child = new ExtractorChild(this.#limits, options)
  }

  /**
   * The text of a file, or the state that says why there is none: no content makes it throw.
   *
   * @param name the last component of the file's path.
   * @throws what reading `source` throws, and a `Fault` when the extractor's process cannot be started.
   */
  async extract(name: string, source: ContentSource): Promise<Extraction> {
    try {
      return await this.#extract(name, source)
    } catch (thrown) {
      if (thrown instanceof Refused) return thrown.refusal
      throw thrown
    }
  }

  /** The number of the extractor's process, while there is one. */
  get pid(): number | undefined {
    return this.#child.pid
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]()
  }

  async #extract(name: string, source: ContentSource): Promise<Extraction> {
    const limits = this.#limits
    const first = firstOf(source)
    const container = detectBytes(source, first, limits)
    if (container === "text") {
      const isAll = source.size <= Math.min(first.length, limits.maxTextBytes)
      const start = decode(isAll ? first : first.subarray(0, SAMPLE), !isAll)
      if (start === undefined) return refuse("binary", "no text")
      const hint = detectText(name, start.text)
      if (isPlain(hint)) return isAll ? plainDocument(start, hint) : readPlain(source, hint, limits)
      return this.#read(hint.format === "mail" ? "mail" : "html", source)
    }
    return this.#read(container, source)
  }

  async #read(format: ContainerFormat, source: ContentSource): Promise<Extraction> {
    const { maxContainerBytes } = this.#limits
    const refusal = tooLarge(format, source.size, this.#limits)
    if (refusal !== undefined) return refusal
    const isCut = source.size > maxContainerBytes
    const extraction = await this.#child.read(format, source.read(0, maxContainerBytes))
    return isCut && !isRefusal(extraction) ? { ...extraction, isWhole: false } : extraction
  }
}

/** Of a file of `size` bytes: why it is not read, undefined if it is. */
export function tooLarge(format: ContainerFormat, size: number, limits: Limits): Refusal | undefined {
  // A page or message has its text from the start on; the others end with what tells where everything is.
  if (size <= limits.maxContainerBytes || format === "html" || format === "mail") return undefined
  return refuse("too-large", `a ${format} file of more than ${limits.maxContainerBytes >> 20} MiB`)
}

function isPlain(hint: NameHint): hint is NameHint & { readonly format: PlainFormat } {
  return hint.format !== "html" && hint.format !== "mail"
}
