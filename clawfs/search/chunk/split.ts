/** Cuts a text into ranges of about the same length, each at the best place that its outline offers. */
import { isBlank, skipBlank, trimBlank, type Lines } from "./lines.ts"
import { Weight, type Outline } from "./outline.ts"

/** Characters. Some 250 words of English. */
const TARGET = 1200
const SHORTEST = 700
const LONGEST = 1500
/** A rest of that much joins the last range. */
const REST = 200
/** Share of a range that the next one repeats. */
const OVERLAP = 0.125

export interface Range {
  /** In characters, `text.slice(start, end)`; neither end is blank. */
  readonly start: number
  readonly end: number
  /** Where it would start without repeating anything. */
  readonly cut: number
}

interface Cut {
  readonly at: number
  /** What comes behind is about something else. */
  readonly isSection: boolean
}

/** The ranges in order: they cover all that is not blank. At most one for each 200 characters. */
export function split(lines: Lines, outline: Outline): Range[] {
  const { text } = lines
  const ranges: Range[] = []
  let [begin, cut] = [0, skipBlank(text, 0)]
  while (cut < text.length) {
    const start = skipBlank(text, begin)
    const next = nextCut(lines, outline, start, cut)
    const end = trimBlank(text, start, next.at)
    ranges.push({ start, end, cut })
    cut = skipBlank(text, next.at)
    // Behind a wide gap is something else; and a range that reached back over it might bring nothing new.
    const repeats = outline.overlaps && !next.isSection && cut - end < REST
    begin = repeats ? repeatFrom(text, start, end) : cut
  }
  return ranges
}

/** Where the range that starts at `start` ends; always behind `from`, so that the next one brings something new. */
function nextCut(lines: Lines, outline: Outline, start: number, from: number): Cut {
  const { text } = lines
  const isLast = text.length - start <= LONGEST + REST
  let best: { readonly at: number; readonly score: number } | undefined
  for (let line = lines.at(Math.max(start, from)) + 1; line < lines.count; line += 1) {
    const at = lines.start(line)
    const length = at - start
    const weight = outline.weights[line] ?? 0
    if (length > LONGEST) break
    if (weight === Weight.SECTION && length >= outline.minimum) return { at, isSection: true }
    if (length < SHORTEST || weight === 0 || isLast) continue
    const score = weight * (1 - (0.6 * Math.abs(length - TARGET)) / TARGET)
    if (score > (best?.score ?? 0)) best = { at, score }
  }
  if (isLast) return { at: text.length, isSection: false }
  return { at: best?.at ?? cutInside(text, start), isSection: false }
}

const SENTENCE_END = /[.!?:;。！？]/

/** A place within a long line: behind a sentence, between words, behind a separator, anywhere but inside of a character. */
function cutInside(text: string, start: number): number {
  const [low, high] = [start + SHORTEST, start + LONGEST]
  let [word, separator] = [0, 0]
  for (let at = high; at > low; at -= 1) {
    const before = text.charCodeAt(at - 1)
    if (isBlank(before)) {
      if (at < high && SENTENCE_END.test(text.charAt(at - 2))) return at
      if (word === 0) word = at
    } else if (isFullStop(before)) return at
    else if (separator === 0 && isSeparator(before)) separator = at
  }
  return word || separator || wholeCharacter(text, high)
}

/** Chinese and Japanese sentences end without a blank. */
const isFullStop = (unit: number): boolean => unit === 0x3002 || unit === 0xff01 || unit === 0xff1f
/** , ; } > ] ) & | */
const isSeparator = (unit: number): boolean =>
  unit === 0x2c ||
  unit === 0x3b ||
  unit === 0x7d ||
  unit === 0x3e ||
  unit === 0x5d ||
  unit === 0x29 ||
  unit === 0x26

/** `at`, or one less where that is inside of a surrogate pair. */
function wholeCharacter(text: string, at: number): number {
  const unit = text.charCodeAt(at)
  const before = text.charCodeAt(at - 1)
  const isInside = unit >= 0xdc00 && unit <= 0xdfff && before >= 0xd800 && before <= 0xdbff
  return isInside ? at - 1 : at
}

/** Where the end of a range that the next one repeats starts: with a sentence, or a word. */
function repeatFrom(text: string, start: number, end: number): number {
  const aim = end - Math.round(OVERLAP * (end - start))
  const reach = Math.round((end - aim) / 2)
  let word = 0
  for (let at = aim - reach; at < aim + reach; at += 1) {
    const before = text.charCodeAt(at - 1)
    if (isFullStop(before)) return at
    if (!isBlank(before) || isBlank(text.charCodeAt(at))) continue
    if (SENTENCE_END.test(text.charAt(at - 2)) || before === 0x0a) return at
    if (word === 0 && at >= aim) word = at
  }
  return word || wholeCharacter(text, aim)
}
