/** Outlines of data: records a line each, with the header of their table as heading. */
import type { Lines } from "./lines.ts"
import { pathOf, Weight, type Outline } from "./outline.ts"

const HEADER_CHARS = 300
/** A record of that length is a chunk of its own. */
const LONG_RECORD = 600
const MINIMUM = 200

/** JSON Lines: a record never shares a chunk with the half of another one if it can be helped. */
export function recordsOutline(lines: Lines): Outline {
  const weights = new Uint8Array(lines.count)
  let before = 0
  for (let line = 0; line < lines.count; line += 1) {
    const length = lines.start(line + 1) - lines.start(line)
    weights[line] = before >= LONG_RECORD || length >= LONG_RECORD ? Weight.SECTION : Weight.BLANK
    before = length
  }
  return { weights, minimum: MINIMUM, overlaps: false, headingAt: () => "" }
}

/** CSV and TSV: a record with line ends between quotes stays together. */
export function tableOutline(lines: Lines, separator: "," | "\t"): Outline {
  const weights = new Uint8Array(lines.count)
  let isQuoted = false
  let quote = lines.text.indexOf('"')
  for (let line = 0; line < lines.count; line += 1) {
    weights[line] = isQuoted ? Weight.POOR : Weight.BLANK
    const end = lines.start(line + 1)
    for (; quote >= 0 && quote < end; quote = lines.text.indexOf('"', quote + 1)) isQuoted = !isQuoted
  }
  const heading = headerOf(lines.slice(0, HEADER_CHARS), separator)
  return { weights, minimum: MINIMUM, overlaps: false, headingAt: () => heading }
}

/** The names of the columns; "" when the first line looks like any other record. */
function headerOf(line: string, separator: "," | "\t"): string {
  const cells = line.split(separator).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"))
  const isHeader =
    cells.length > 1 && cells.every((cell) => !/^[-+]?[\d.,]+%?$/.test(cell)) && cells[0] !== ""
  return isHeader ? pathOf([cells.join(", ")]) : ""
}

/** A workbook's text: "# sheet", the line of its columns' names, then its rows. */
export function sheetsOutline(lines: Lines): Outline {
  const weights = new Uint8Array(lines.count).fill(Weight.BLANK)
  const sheets: { readonly line: number; readonly heading: string }[] = []
  for (let line = 0; line < lines.count; line += 1) {
    const isSheet =
      lines.text.startsWith("# ", lines.start(line)) && (line === 0 || lines.slice(line - 1, 1) === "")
    if (!isSheet) continue
    weights[line] = Weight.SECTION
    const header = headerOf(lines.slice(line + 1, HEADER_CHARS), "\t")
    sheets.push({ line, heading: pathOf([lines.slice(line, HEADER_CHARS).slice(2), header]) })
  }
  return {
    weights,
    minimum: MINIMUM,
    overlaps: false,
    headingAt: (line) => sheets.findLast((sheet) => sheet.line <= line)?.heading ?? "",
  }
}
