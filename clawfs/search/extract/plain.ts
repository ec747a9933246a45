/** Texts whose content is the file itself: decoded, never rewritten, so that every range of it is a range of the file. */
import type { TextKind } from "../document.ts"
import { decode, type Decoded } from "./encoding.ts"
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

type PlainHint = NameHint & { readonly format: PlainFormat }

/** The text of a file, or its first part. `Refused` ("binary") when it is none after all. */
export function readPlain(source: ContentSource, hint: PlainHint, limits: Limits): ExtractedDocument {
  const isCut = source.size > limits.maxTextBytes
  const decoded = decode(source.read(0, limits.maxTextBytes), isCut)
  if (decoded === undefined) throw new Refused("binary", "no text")
  const document = plainDocument(decoded, hint)
  return isCut ? { ...document, text: wholeLines(document.text), isWhole: false } : document
}

/** A text that is the whole file. */
export function plainDocument(decoded: Decoded, { format, language }: PlainHint): ExtractedDocument {
  return {
    kind: KINDS[format],
    extractor: format,
    title: format === "markdown" ? tidyTitle(markdownTitle(decoded.text)) : "",
    text: decoded.text,
    isVerbatim: decoded.isExact,
    isWhole: true,
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
  const lines = text
    .slice(0, TITLE_WITHIN)
    .split("\n", 200)
    .map((line) => line.trim())
  const matterEnd = lines[0] === "---" ? lines.indexOf("---", 1) : -1
  const matter = lines.slice(1, Math.max(1, matterEnd))
  const named =
    matter
      .find((line) => line.startsWith("title:"))
      ?.slice("title:".length)
      .trim() ?? ""
  if (named !== "") return /^(["']).*\1$/.test(named) ? named.slice(1, -1) : named
  const rest = lines.slice(matterEnd + 1)
  const hash = rest.findIndex((line) => line.startsWith("# "))
  const underline = rest.findIndex((line, i) => /^=+$/.test(line) && (rest[i - 1] ?? "") !== "")
  const isHash = hash >= 0 && (underline < 0 || hash < underline)
  return isHash ? withoutSigns(rest[hash]?.slice(2) ?? "") : (rest[underline - 1] ?? "")
}

/** A heading may end with number signs too. */
function withoutSigns(heading: string): string {
  let end = heading.length
  while (end > 0 && heading.charAt(end - 1) === "#") end -= 1
  return end < heading.length && heading.charAt(end - 1) === " " ? heading.slice(0, end) : heading
}
