/** Documents into chunks: the parts that are found and ranked on their own. The same text always gives the same chunks. */
import type { Chunk } from "../document.ts"
import type { ExtractedDocument } from "../extract/extraction.ts"
import { ByteOffsets } from "./byte-offsets.ts"
import { codeOutline, jsonOutline } from "./code.ts"
import { recordsOutline, sheetsOutline, tableOutline } from "./data.ts"
import { Lines } from "./lines.ts"
import type { Outline } from "./outline.ts"
import { markdownOutline, proseOutline } from "./prose.ts"
import { split } from "./split.ts"

/**
 * The chunks of a document in order; none for a blank one. They cover all of its text but blank space. Their texts are slices of
 * the document's, their byte ranges those of the file when the document is verbatim, otherwise of the text as UTF-8.
 */
export function chunksOf(document: ExtractedDocument): Chunk[] {
  const { text, encoding } = document
  const lines = new Lines(text)
  const outline = outlineOf(lines, document)
  const offsets = new ByteOffsets(text, encoding)
  return split(lines, outline).map(({ start, end, cut }) => ({
    start: offsets.at(start),
    end: offsets.at(end),
    firstLine: lines.at(start) + 1,
    lastLine: lines.at(end - 1) + 1,
    heading: outline.headingAt(lines.at(cut)),
    text: text.slice(start, end),
  }))
}

function outlineOf(lines: Lines, { kind, extractor, language }: ExtractedDocument): Outline {
  switch (kind) {
    case "markdown":
      return markdownOutline(lines)
    case "code":
      return codeOutline(lines, language)
    case "data":
      return dataOutline(lines, extractor)
    case "prose":
    case "mail":
      return proseOutline(lines)
  }
}

function dataOutline(lines: Lines, extractor: string): Outline {
  switch (extractor) {
    case "csv":
      return tableOutline(lines, ",")
    case "tsv":
      return tableOutline(lines, "\t")
    case "xlsx":
    case "ods":
      return sheetsOutline(lines)
    case "jsonl":
      return recordsOutline(lines)
    default:
      return jsonOutline(lines)
  }
}
