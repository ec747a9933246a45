/**
 * Outline of source code by indentation and keywords, for many languages at once and without a parser: a definition and the
 * comments above it belong together, and what is indented deeper belongs to it.
 */
import { definedName } from "./definition.ts"
import { skipBlank, type Lines } from "./lines.ts"
import { pathOf, Weight, type Outline } from "./outline.ts"

const MINIMUM = 600
const TAB = 4
/** What may be looked at of a line: definitions say early what they are. */
const LINE_CHARS = 240
/** Definitions that are gone back over to find what encloses a line. */
const LOOK_BACK = 4000

interface Definition {
  readonly line: number
  readonly indent: number
  readonly name: string
}

export function codeOutline(lines: Lines, language: string): Outline {
  return new CodeOutline(lines, (line) => definedName(line, language))
}

/** JSON that is laid out in lines: keys whose values go over several are what encloses. */
export function jsonOutline(lines: Lines): Outline {
  return new CodeOutline(lines, (line) => /^"([^"\\]{1,100})"\s*:\s*[[{]\s*$/.exec(line)?.[1] ?? "")
}

class CodeOutline implements Outline {
  readonly weights: Uint8Array
  readonly minimum = MINIMUM
  readonly overlaps = false
  readonly #lines: Lines
  readonly #definitions: Definition[] = []

  /** @param nameOf the name that a line (without its indentation) defines, "" for none. */
  constructor(lines: Lines, nameOf: (line: string) => string) {
    this.#lines = lines
    this.weights = new Uint8Array(lines.count)
    let isAfterBlank = true
    /** First line of the comments and decorators that a definition may follow. */
    let lead = -1
    for (let line = 0; line < lines.count; line += 1) {
      const { indent, text } = this.#look(line)
      if (text === "") {
        isAfterBlank = true
        lead = -1
        continue
      }
      const name = nameOf(text)
      if (name !== "") this.#define({ line, indent, name }, lead < 0 ? line : lead)
      else this.weights[line] = weigh(text, indent, isAfterBlank)
      if (name !== "" || !isLead(text)) lead = -1
      else if (lead < 0) lead = line
      isAfterBlank = false
    }
  }

  /** Names of what encloses a line, its own included when it is a definition. */
  headingAt(line: number): string {
    const names: string[] = []
    let last = this.#lastDefinition(this.#nextDefinition(line))
    const first = this.#definitions[last]
    let indent = this.#look(line).indent
    if (first !== undefined && first.line >= line) {
      names.push(first.name)
      indent = first.indent
      last -= 1
    }
    for (let at = last; at >= 0 && at > last - LOOK_BACK && indent > 0; at -= 1) {
      const above = this.#definitions[at]
      if (above === undefined || above.indent >= indent) continue
      names.unshift(above.name)
      indent = above.indent
    }
    return pathOf(names)
  }

  #look(line: number): { indent: number; text: string } {
    const start = this.#lines.start(line)
    const end = this.#lines.start(line + 1)
    const { text } = this.#lines
    const from = skipBlank(text, start, end)
    let indent = 0
    for (let at = start; at < from; at += 1) indent += text.charCodeAt(at) === 0x09 ? TAB : 1
    return { indent, text: text.slice(from, Math.min(end, from + LINE_CHARS)).trimEnd() }
  }

  #define(definition: Definition, from: number): void {
    this.#definitions.push(definition)
    const weight =
      definition.indent === 0 ? Weight.SECTION : definition.indent <= 2 * TAB ? Weight.PART : Weight.LINE
    this.weights[definition.line] = Weight.POOR
    this.weights[from] = weight
  }

  /** The line of the definition that `line` leads up to with comments, or `line` itself. */
  #nextDefinition(line: number): number {
    let at = line
    while (at < line + 100 && at < this.#lines.count && isLead(this.#look(at).text)) at += 1
    const found = this.#definitions[this.#lastDefinition(at)]
    return found?.line === at ? at : line
  }

  /** The place of the last definition that is not behind `line`, -1 for none. */
  #lastDefinition(line: number): number {
    let [low, high] = [-1, this.#definitions.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#definitions[middle]?.line ?? 0) <= line) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** A comment, a decorator or an attribute: stands above what it belongs to. */
function isLead(text: string): boolean {
  return /^(?:\/\/|\/\*|\*|#(?!\s*(?:include|define|if|endif|else|pragma))|--|;;|%|@\w|"""|template\s*<|\[\w)/.test(
    text,
  )
}

/** Deeper lines are worse places, and those that only close something are the worst. */
function weigh(text: string, indent: number, isAfterBlank: boolean): number {
  if (/^(?:[)\]}>;,]+|end\b|fi\b|done\b|esac\b|else\b|elif\b|except\b|catch\b|finally\b)/.test(text))
    return Weight.POOR
  const base: number = isAfterBlank ? Weight.BLANK : Weight.LINE
  return Math.max(Weight.POOR + 1, base - Math.min(indent >> 2, 6))
}
