/** Documents and files for the tests of search. */
import type { TextKind } from "../../../../clawfs/search/document.ts"
import { UTF_8, type ExtractedDocument } from "../../../../clawfs/search/extract/extraction.ts"
import type { Random } from "../../support/random.ts"

/** A verbatim UTF-8 document. */
export function documentOf(
  kind: TextKind,
  text: string,
  rest: Partial<ExtractedDocument> = {},
): ExtractedDocument {
  const fixed = { extractor: kind, title: "", isVerbatim: true, isWhole: true, encoding: UTF_8, language: "" }
  return { ...fixed, kind, text, ...rest }
}

const WORDS =
  "the supplier was chosen because its second offer held when prices rose and nobody else could deliver before winter".split(
    " ",
  )

/** So many sentences of plain English. */
export function prose(random: Random, sentences: number): string {
  const out: string[] = []
  for (let i = 0; i < sentences; i += 1) {
    const words = Array.from({ length: 4 + random.below(16) }, () => WORDS[random.below(WORDS.length)] ?? "")
    const sentence = words.join(" ")
    out.push(sentence.charAt(0).toUpperCase() + sentence.slice(1) + ".")
  }
  return out.join(" ")
}

/** Paragraphs of a few sentences. */
export function paragraphs(random: Random, count: number): string {
  return Array.from({ length: count }, () => prose(random, 1 + random.below(6))).join("\n\n")
}
