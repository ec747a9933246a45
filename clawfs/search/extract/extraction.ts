/** What comes of looking at a file: its text, or a state that says why there is none. Hostile files give states, never throws. */
import type { ExtractedText, TextKind } from "../document.ts"
import { cutWhole, wellFormed } from "./characters.ts"

/**
 * How the bytes of a text file are its characters. The first four map an offset in the text to one in the file exactly;
 * of the multi-byte ones the ranges of chunks are those of the extracted text.
 */
export interface Encoding {
  readonly form: "utf-8" | "utf-16" | "utf-32" | "single-byte" | "multi-byte"
  /** By the names of the WHATWG's Encoding Standard. */
  readonly label: string
  /** Length of the byte order mark, which is no part of the text. */
  readonly bom: number
}

/** How extracted text that is no file's own is measured. */
export const UTF_8: Encoding = { form: "utf-8", label: "utf-8", bom: 0 }

/** `ExtractedText` with what splitting needs besides. */
export interface ExtractedDocument extends ExtractedText {
  /** Of the file when `isVerbatim`, otherwise UTF-8 without a byte order mark. */
  readonly encoding: Encoding
  /** Programming or data language of code ("typescript", "c"), "" for everything else. */
  readonly language: string
}

/**
 * "binary": nothing that has text, or a format that is not read. "too-large": a container above the limits. "broken": not
 * what its format demands. "timed-out", "crashed": the extractor's process was killed, or died. "ignored": a rule leaves it out.
 */
export type RefusalState =
  "binary" | "too-large" | "encrypted-document" | "broken" | "timed-out" | "crashed" | "ignored"

export const REFUSAL_STATES: readonly RefusalState[] = [
  "binary",
  "too-large",
  "encrypted-document",
  "broken",
  "timed-out",
  "crashed",
  "ignored",
]

export const TEXT_KINDS: readonly TextKind[] = ["prose", "markdown", "code", "data", "mail"]

export interface Refusal {
  readonly state: RefusalState
  /** For people: lower case, no period. Holds nothing of the file's content. */
  readonly reason: string
}

export type Extraction = ExtractedDocument | Refusal

export function isRefusal(extraction: Extraction): extraction is Refusal {
  return "state" in extraction
}

export function refuse(state: RefusalState, reason: string): Refusal {
  return { state, reason }
}

/** Thrown inside of an extractor, and caught where it was called: ends it with a state. */
export class Refused extends Error {
  override readonly name = "Refused"
  readonly refusal: Refusal

  constructor(state: RefusalState, reason: string) {
    super(reason)
    this.refusal = { state, reason }
  }
}

/** The document of an extractor whose text is not the file's own. */
export function extracted(
  extractor: string,
  kind: TextKind,
  { title, text, isWhole }: { readonly title: string; readonly text: string; readonly isWhole: boolean },
): ExtractedDocument {
  return {
    kind,
    extractor,
    title: tidyTitle(title),
    text,
    isVerbatim: false,
    isWhole,
    encoding: UTF_8,
    language: "",
  }
}

const TITLE_CHARS = 300

/** One line, bounded. */
export function tidyTitle(title: string): string {
  return cutWhole(
    wellFormed(title.slice(0, 4 * TITLE_CHARS))
      .replace(/\s+/g, " ")
      .trim(),
    TITLE_CHARS,
  )
}
