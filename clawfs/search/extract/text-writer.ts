/** Collects the lines of an extracted document up to a limit, with blanks folded as a reader would see them. */
import { cutWhole, wellFormed } from "./characters.ts"
import type { Limits } from "./limits.ts"

const PIECE = 65_536

export class TextWriter {
  readonly #parts: string[] = []
  readonly #maxChars: number
  #chars = 0
  /** What the next text is preceded by: nothing, a blank, or so many line ends. */
  #gap: "" | " " | "\t" | "\n" | "\n\n" = ""
  #isFull = false

  constructor({ maxOutputChars }: Pick<Limits, "maxOutputChars">) {
    this.#maxChars = maxOutputChars
  }

  /** Nothing more is taken: the extractor can stop. */
  get isFull(): boolean {
    return this.#isFull
  }

  get text(): string {
    return this.#parts.length === 0 ? "" : `${this.#parts.join("")}\n`
  }

  /** Running text: runs of blanks become one space. */
  inline(text: string): void {
    // In pieces: folding 32 MiB of short words at once takes more memory than there is.
    let piece = cutWhole(text, PIECE)
    for (
      let at = 0;
      at < text.length && !this.#isFull;
      piece = cutWhole(text.slice(at, at + PIECE + 1), PIECE)
    ) {
      this.#inline(piece)
      at += piece.length
    }
  }

  #inline(text: string): void {
    const folded = text.replace(/\s+/g, " ")
    if (folded === "") return
    if (folded === " ") {
      if (this.#gap === "") this.#gap = " "
      return
    }
    if (folded.startsWith(" ") && this.#gap === "") this.#gap = " "
    this.#put(folded.trim())
    if (folded.endsWith(" ")) this.#gap = " "
  }

  /** Text as it is, line ends and blanks included. */
  verbatim(text: string): void {
    if (text === "") return
    if (this.#gap === " ") this.#gap = ""
    this.#put(text.replace(/\r\n?/g, "\n"))
  }

  /** The end of a table's cell: the next one follows behind a tab. */
  cell(): void {
    this.#gap = "\t"
  }

  /** The start of a cell, where the end of the one before may not have been told. */
  nextCell(): void {
    if (this.#gap === "" || this.#gap === " ") this.#gap = "\t"
  }

  /** The next text starts on a new line. */
  line(): void {
    if (this.#gap !== "\n\n") this.#gap = "\n"
  }

  /** The next text starts a new paragraph. */
  paragraph(): void {
    this.#gap = "\n\n"
  }

  #put(text: string): void {
    if (this.#isFull) return
    const gap = this.#chars === 0 ? "" : this.#gap
    this.#gap = ""
    const room = this.#maxChars - this.#chars - gap.length
    this.#isFull = text.length > room
    if (room <= 0) return
    // Extracted text is measured as UTF-8, which has no half characters.
    const whole = wellFormed(cutWhole(text, room))
    this.#parts.push(gap, whole)
    this.#chars += gap.length + whole.length
  }
}
