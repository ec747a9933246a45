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
  const wanted = new Set(words.map(stem))
  const lines = text.split("\n")
  const rootOf = remembered((word) => wordsOf(word).map(stem).join(""))
  const matches = (of: string): Match[] => matchesIn(of, wanted, rootOf)
  const found = lines.map((line) => new Set(matches(line).map(({ root }) => root)))
  let best = 0
  let bestScore = -1
  for (let i = 0; i < lines.length; i++) {
    const inWindow = new Set(found.slice(i, i + MOST_LINES).flatMap((each) => [...each]))
    // On a tie the earlier wins, and a window that begins with a hit.
    const score = inWindow.size * 2 + (found[i]?.size === 0 ? 0 : 1)
    if (score > bestScore && (lines[i]?.trim() ?? "") !== "") {
      best = i
      bestScore = score
    }
  }
  const whole = lines
    .slice(best, best + MOST_LINES)
    .join("\n")
    .trimEnd()
  const from = shownFrom(whole, matches)
  // Never half of a surrogate pair.
  const shown = whole.slice(from, from + MOST_LENGTH).replace(/^[\udc00-\udfff]|[\ud800-\udbff]$/g, "")
  const highlights = matches(shown).map(({ start, end }) => [start, end] as const)
  return {
    text: shown,
    highlights,
    firstLine: firstLine + best + whole.slice(0, from).split("\n").length - 1,
  }
}

interface Match {
  readonly start: number
  readonly end: number
  readonly root: string
}

function matchesIn(text: string, wanted: ReadonlySet<string>, rootOf: (word: string) => string): Match[] {
  return [...text.matchAll(/[\p{L}\p{N}\p{M}]+/gu)].flatMap(({ 0: word, index }) => {
    const root = rootOf(word)
    return wanted.has(root) ? [{ start: index, end: index + word.length, root }] : []
  })
}

/** A chunk has most of its words more than once, and its lines are gone through twice. */
function remembered(find: (word: string) => string): (word: string) => string {
  const known = new Map<string, string>()
  return (word) => {
    let found = known.get(word)
    if (found === undefined) {
      found = find(word)
      known.set(word, found)
    }
    return found
  }
}

/** A long line is shown around its first hit, from its beginning when that is near. */
function shownFrom(text: string, matches: (of: string) => Match[]): number {
  const [first] = text.length <= MOST_LENGTH ? [] : matches(text)
  if (first === undefined || first.end < MOST_LENGTH) return 0
  const lineStart = text.lastIndexOf("\n", first.start) + 1
  return Math.max(lineStart, first.start - MOST_LENGTH / 4)
}
