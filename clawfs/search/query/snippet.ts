/** The lines of a chunk that show why it was found. */
import { stem } from "../embed/stem.ts"
import { wordsOf } from "../embed/words.ts"

export interface Snippet {
  readonly text: string
  /** Ranges [start, end) of `text` in UTF-16 units that are words of the query. */
  readonly highlights: readonly (readonly [number, number])[]
  /** Line of the file (or of the extracted text) that `text` begins with, from 1. */
  readonly firstLine: number
}

const MOST_LINES = 3
const MOST_LENGTH = 300

/** `firstLine`: the line that the chunk's text begins with. */
export function snippetOf(text: string, words: readonly string[], firstLine: number): Snippet {
  const matches = matchesIn(text, new Set(words.map(stem)))
  const lines = linesOf(text)
  const best = bestLine(text, lines, matches)
  const first = lines[best] ?? { start: 0, end: 0 }
  const last = lines[Math.min(best + MOST_LINES, lines.length) - 1] ?? first
  const end = first.start + text.slice(first.start, last.end).trimEnd().length
  const start = shownFrom(text, { start: first.start, end }, matches)
  const shown = text.slice(start, Math.min(end, start + MOST_LENGTH)).replace(HALF_PAIR_AT_END, "")
  return {
    text: shown,
    highlights: matches
      .filter((match) => match.start >= start && match.end <= start + shown.length)
      .map((match) => [match.start - start, match.end - start]),
    firstLine: firstLine + lines.findLastIndex((line) => line.start <= start),
  }
}

/** Of the text, without the newline. */
interface Range {
  readonly start: number
  readonly end: number
}

interface Match extends Range {
  readonly root: string
}

const ASCII = /^[\x00-\x7f]*$/
const ASCII_WORD = /[A-Za-z0-9]+/g
const WORD = /[\p{L}\p{N}\p{M}]+/gu
const LOW_SURROGATE = /[\udc00-\udfff]/
const HALF_PAIR_AT_END = /[\ud800-\udbff]$/

function matchesIn(text: string, wanted: ReadonlySet<string>): Match[] {
  // Few words of a chunk begin as one of the query does, and a stem of a–z begins as its word: the others need no stemming.
  const initials = new Set([...wanted].map((root) => root[0]))
  const isAscii = ASCII.test(text)
  const matches: Match[] = []
  for (const { 0: word, index } of text.matchAll(isAscii ? ASCII_WORD : WORD)) {
    if (isAscii && !initials.has(word[0]?.toLowerCase())) continue
    const root = wordsOf(word).map(stem).join("")
    if (wanted.has(root)) matches.push({ start: index, end: index + word.length, root })
  }
  return matches
}

function linesOf(text: string): Range[] {
  const lines: Range[] = []
  for (let start = 0; start <= text.length;) {
    const newline = text.indexOf("\n", start)
    const end = newline === -1 ? text.length : newline
    lines.push({ start, end })
    start = end + 1
  }
  return lines
}

/** Where the lines begin that have most words of the query among them. */
function bestLine(text: string, lines: readonly Range[], matches: readonly Match[]): number {
  let best = 0
  let bestScore = -1
  for (const [i, line] of lines.entries()) {
    const last = lines[Math.min(i + MOST_LINES, lines.length) - 1] ?? line
    const inWindow = matches.filter(({ start, end }) => start >= line.start && end <= last.end)
    // On a tie the earlier wins, and a window that begins with a hit.
    const begins = inWindow.some(({ end }) => end <= line.end)
    const score = new Set(inWindow.map(({ root }) => root)).size * 2 + (begins ? 1 : 0)
    if (score <= bestScore || text.slice(line.start, line.end).trim() === "") continue
    best = i
    bestScore = score
  }
  return best
}

/** A long line is shown around its first hit, from its beginning when that is near. */
function shownFrom(text: string, { start, end }: Range, matches: readonly Match[]): number {
  if (end - start <= MOST_LENGTH) return start
  const first = matches.find((match) => match.start >= start && match.end <= end)
  if (first === undefined || first.end - start < MOST_LENGTH) return start
  const lineStart = text.lastIndexOf("\n", first.start) + 1
  const from = Math.max(lineStart, first.start - MOST_LENGTH / 4)
  // Never half of a surrogate pair.
  return LOW_SURROGATE.test(text[from] ?? "") ? from + 1 : from
}
