/** Texts whose content is the file itself: decoded, never rewritten, so that every range of it is a range of the file. */
import type { TextKind } from "../document.ts"
import { decode } from "./encoding.ts"
import { Refused, tidyTitle, UTF_8, type ExtractedDocument } from "./extraction.ts"
import type { Limits } from "./limits.ts"
import type { NameHint, TextFormat } from "./names.ts"
import type { ContentSource } from "./source.ts"

export type PlainFormat = Exclude<TextFormat, "html" | "mail">

const KINDS: Readonly<Record<PlainFormat, TextKind>> = {
  text: "prose",
  markdown: "markdown",
  code: "code",
  json: "data",
  jsonl: "data",
  csv: "data",
  tsv: "data",
}

/** How far a cut goes back to end with a whole line. */
const LAST_LINE = 65_536

/** The text of a file, or its first part. `Refused` ("binary") when it is none after all. */
export function readPlain(
  source: ContentSource,
  { format, language }: NameHint & { readonly format: PlainFormat },
  limits: Limits,
): ExtractedDocument {
  const isCut = source.size > limits.maxTextBytes
  const decoded = decode(source.read(0, limits.maxTextBytes), isCut)
  if (decoded === undefined) throw new Refused("binary", "no text")
  const text = isCut ? wholeLines(decoded.text) : decoded.text
  return {
    kind: KINDS[format],
    extractor: format,
    title: format === "markdown" ? tidyTitle(markdownTitle(text)) : "",
    text,
    isVerbatim: decoded.isExact,
    isWhole: !isCut,
    encoding: decoded.isExact ? decoded.encoding : UTF_8,
    language,
  }
}

function wholeLines(text: string): string {
  const newline = text.lastIndexOf("\n")
  return newline < text.length - LAST_LINE ? text : text.slice(0, newline + 1)
}

const TITLE_WITHIN = 4096

/** `title:` of the front matter, or the first heading of the first level. */
function markdownTitle(text: string): string {
  const start = text.slice(0, TITLE_WITHIN)
  const matter = /^---\r?\n([^]*?)\r?\n---\r?\n/.exec(start)?.[1] ?? ""
  const named =
    /^title:[ \t]*(.*)$/m
      .exec(matter)?.[1]
      ?.trim()
      .replace(/^(["'])(.*)\1$/, "$2") ?? ""
  if (named !== "") return named
  return (
    /^#[ \t]+(.+?)[ \t]*#*[ \t]*$/m.exec(start)?.[1] ?? /^(\S.*)\r?\n=+[ \t]*\r?$/m.exec(start)?.[1] ?? ""
  )
}
