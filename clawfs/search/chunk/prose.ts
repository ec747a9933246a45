/** Outlines of running text: Markdown by its headings, blocks and fences; other prose by blank lines and underlined headings. */
import { isBlank, skipBlank, type Lines } from "./lines.ts"
import { pathOf, Weight, type Outline } from "./outline.ts"

/** Characters of a section that are worth a chunk of its own. */
const MINIMUM = 600
const HEADING_CHARS = 200

interface Heading {
  readonly line: number
  readonly level: number
  readonly title: string
}

export function markdownOutline(lines: Lines): Outline {
  return new ProseOutline(lines, true)
}

export function proseOutline(lines: Lines): Outline {
  return new ProseOutline(lines, false)
}

const HASH = 0x23
const BACKTICK = 0x60
const TILDE = 0x7e
/** Characters that underline a heading, the level by their place. */
const UNDERLINES = "=-~^*"

class ProseOutline implements Outline {
  readonly weights: Uint8Array
  readonly minimum = MINIMUM
  readonly overlaps = true
  readonly #lines: Lines
  readonly #isMarkdown: boolean
  readonly #headings: Heading[] = []
  readonly #path: Heading[] = []
  #passed = 0
  /** The fence that is open: its character and length. */
  #fence: { readonly unit: number; readonly length: number } | undefined

  constructor(lines: Lines, isMarkdown: boolean) {
    this.#lines = lines
    this.#isMarkdown = isMarkdown
    this.weights = new Uint8Array(lines.count)
    const { text } = lines
    let isAfterBlank = true
    for (let line = 0; line < lines.count; line += 1) {
      const end = lines.start(line + 1)
      const from = skipBlank(text, lines.start(line), end)
      if (from === end) {
        isAfterBlank = true
        continue
      }
      this.weights[line] = this.#weigh(line, from, end, isAfterBlank)
      isAfterBlank = false
    }
  }

  headingAt(line: number): string {
    for (let next = this.#headings[this.#passed]; next !== undefined && next.line <= line;) {
      const { level } = next
      while ((this.#path.at(-1)?.level ?? 0) >= level) this.#path.pop()
      this.#path.push(next)
      this.#passed += 1
      next = this.#headings[this.#passed]
    }
    return pathOf(this.#path.map(({ title }) => title))
  }

  #weigh(line: number, from: number, end: number, isAfterBlank: boolean): number {
    const unit = this.#lines.text.charCodeAt(from)
    if (this.#isMarkdown) {
      if (unit === BACKTICK || unit === TILDE) {
        const fenced = this.#fenceAt(from, end, unit)
        if (fenced !== undefined) return fenced && isAfterBlank ? Weight.BLANK : Weight.POOR
      }
      if (this.#fence !== undefined) return isAfterBlank ? Weight.LINE : Weight.POOR
      if (unit === HASH && this.#numberSigns(line, from)) return Weight.SECTION
    }
    if (UNDERLINES.includes(String.fromCharCode(unit)) && this.#underline(line, from, end)) return Weight.POOR
    if (isAfterBlank) return Weight.BLANK
    return isItem(this.#lines.text, from) ? Weight.ITEM : Weight.LINE
  }

  /** True when a fence opens here, false when one closes, undefined when it is none. */
  #fenceAt(from: number, end: number, unit: number): boolean | undefined {
    const { text } = this.#lines
    let length = 0
    while (from + length < end && text.charCodeAt(from + length) === unit) length += 1
    if (length < 3) return undefined
    const open = this.#fence
    if (open === undefined) {
      this.#fence = { unit, length }
      return true
    }
    if (open.unit !== unit || length < open.length || skipBlank(text, from + length, end) < end)
      return undefined
    this.#fence = undefined
    return false
  }

  #numberSigns(line: number, from: number): boolean {
    const [, signs = "", title = ""] =
      /^(#{1,6})(?:[ \t]+(.*))?$/.exec(
        this.#lines.slice(line, from - this.#lines.start(line) + HEADING_CHARS).trim(),
      ) ?? []
    if (signs === "") return false
    this.#headings.push({ line, level: signs.length, title: title.replace(/[ \t]+#+$/, "") })
    return true
  }

  /** A line of one sign below a text of its own paragraph makes that a heading. */
  #underline(line: number, from: number, end: number): boolean {
    const { text } = this.#lines
    const level = UNDERLINES.indexOf(text.charAt(from)) + 1
    if (this.#isMarkdown && level > 2) return false
    let to = from
    while (to < end && text.charCodeAt(to) === text.charCodeAt(from)) to += 1
    if (to - from < 3 || skipBlank(text, to, end) < end) return false
    const above = line - 1
    // A heading is the first line of its paragraph, otherwise the signs are a table's or a rule.
    if (above < 0 || this.weights[above] !== Weight.BLANK) return false
    const title = this.#lines.slice(above, HEADING_CHARS + 1)
    if (title.length > HEADING_CHARS) return false
    this.weights[above] = Weight.SECTION
    this.#headings.push({ line: above, level, title })
    return true
  }
}

/** "- ", "* ", "+ ", "1. ", "1) " */
function isItem(text: string, from: number): boolean {
  const unit = text.charCodeAt(from)
  if (unit === 0x2d || unit === 0x2a || unit === 0x2b) return isBlank(text.charCodeAt(from + 1))
  let at = from
  while (at < from + 4 && text.charCodeAt(at) >= 0x30 && text.charCodeAt(at) <= 0x39) at += 1
  const sign = text.charCodeAt(at)
  return at > from && (sign === 0x2e || sign === 0x29) && isBlank(text.charCodeAt(at + 1))
}
