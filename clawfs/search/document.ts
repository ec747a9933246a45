/** What search knows of a file's text: the shapes that extractors, chunks, embedders and the index share. */

/** What kind of text a document is: decides how it is split. */
export type TextKind = "prose" | "markdown" | "code" | "data" | "mail"

/** The text of a file. */
export interface ExtractedText {
  readonly kind: TextKind
  /** Name of the extractor: "text", "markdown", "code", "json", "csv", "html", "pdf", "docx", … */
  readonly extractor: string
  /** Title that the document gives itself, "" when it has none. */
  readonly title: string
  /** The text, lines ended by "\n". For plain text formats it is the decoded file. */
  readonly text: string
  /** True when byte and line ranges of chunks are those of the file itself; false when they are those of the extracted text (PDF, docx …). */
  readonly isVerbatim: boolean
  /** False when a limit cut the text off. */
  readonly isWhole: boolean
}

/** A part of a document that is found and ranked on its own. */
export interface Chunk {
  /** Byte range [start, end) of the file (isVerbatim) or of the extracted text as UTF-8. */
  readonly start: number
  readonly end: number
  /** First and last line, counted from 1. */
  readonly firstLine: number
  readonly lastLine: number
  /** Headings above it, "Plan > Suppliers"; for code the enclosing names; "" for none. */
  readonly heading: string
  readonly text: string
}
