/**
 * Reads a regular expression of JavaScript just far enough to know strings that every match contains (R. Cox, "Regular expression
 * matching with a trigram index", 2012, simplified). What it does not understand may be anything.
 */
import { ANYTHING, both, literal, oneOf, type GramPlan } from "../index/gram-plan.ts"

/** What is known of a part of the pattern. */
interface Part {
  /** All strings that it can match; undefined: too many. */
  readonly exact: readonly string[] | undefined
  /** What every match contains, when `exact` is undefined. */
  readonly plan: GramPlan
}

const MOST_STRINGS = 16
const MOST_OF_CLASS = 8

const unknown: Part = { exact: undefined, plan: ANYTHING }
const empty: Part = { exact: [""], plan: ANYTHING }
const exactly = (strings: readonly string[]): Part => ({ exact: strings, plan: ANYTHING })
const planOf = ({ exact, plan }: Part): GramPlan => (exact === undefined ? plan : oneOf(exact.map(literal)))

/** The pattern must be one that `RegExp` accepts. `isCaseless`: letters outside of ASCII are then left out of account. */
export function regexPlan(
  pattern: string,
  options: { readonly isCaseless: boolean; readonly isUnicode: boolean },
): GramPlan {
  const parser = new Parser(pattern, options)
  const part = parser.alternatives()
  return parser.isAtEnd ? planOf(part) : ANYTHING
}

class Parser {
  readonly #symbols: readonly string[]
  readonly #isCaseless: boolean
  readonly #isUnicode: boolean
  #at = 0

  constructor(pattern: string, { isCaseless, isUnicode }: { isCaseless: boolean; isUnicode: boolean }) {
    this.#symbols = isUnicode ? Array.from(pattern) : pattern.split("")
    this.#isCaseless = isCaseless
    this.#isUnicode = isUnicode
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#symbols.length
  }

  alternatives(): Part {
    const parts = [this.#sequence()]
    while (this.#accept("|")) parts.push(this.#sequence())
    if (parts.length === 1 && parts[0] !== undefined) return parts[0]
    const exact = parts.flatMap((part) => part.exact ?? [])
    if (parts.every((part) => part.exact !== undefined) && exact.length <= MOST_STRINGS) return exactly(exact)
    return { exact: undefined, plan: oneOf(parts.map(planOf)) }
  }

  #sequence(): Part {
    let strings: readonly string[] = [""]
    let plan: GramPlan = ANYTHING
    let isExact = true as boolean
    const flush = (): void => {
      plan = both(plan, oneOf(strings.map(literal)))
      strings = [""]
      isExact = false
    }
    while (!this.isAtEnd && !this.#isNext("|") && !this.#isNext(")")) {
      const { exact, plan: needed } = this.#quantified()
      if (exact !== undefined && strings.length * exact.length > MOST_STRINGS) flush()
      if (exact === undefined) {
        flush()
        plan = both(plan, needed)
      } else strings = strings.flatMap((first) => exact.map((second) => first + second))
    }
    if (isExact) return exactly(strings)
    flush()
    return { exact: undefined, plan }
  }

  #quantified(): Part {
    const part = this.#atom()
    const least = this.#quantifier()
    if (least === undefined) return part
    // "?" alone leaves what is exact exact.
    if (least === "optional" && part.exact !== undefined) return exactly([...part.exact, ""])
    return least === "some" ? { exact: undefined, plan: planOf(part) } : unknown
  }

  /** "some": once or more; "optional": once or not; "any": who knows. */
  #quantifier(): "some" | "optional" | "any" | undefined {
    let least: "some" | "optional" | "any" | undefined
    if (this.#accept("*")) least = "any"
    else if (this.#accept("+")) least = "some"
    else if (this.#accept("?")) least = "optional"
    else {
      const [whole, from] = /^\{(\d+)(?:,\d*)?\}/.exec(this.#rest(24)) ?? []
      if (whole === undefined) return undefined
      this.#at += whole.length
      least = Number(from) > 0 ? "some" : "any"
    }
    this.#accept("?")
    return least
  }

  #atom(): Part {
    const symbol = this.#symbols[this.#at++] ?? ""
    switch (symbol) {
      case "(":
        return this.#group()
      case "[":
        return this.#class()
      case "\\":
        return this.#escape()
      case ".":
        return unknown
      case "^":
      case "$":
        return empty
      default:
        return this.#character(symbol)
    }
  }

  #character(symbol: string): Part {
    // Case without ASCII has more than two sides; half of a surrogate pair is no character.
    const isPlain =
      symbol <= "\u007f" || (!this.#isCaseless && !/[\ud800-\udfff]/.test(symbol.length === 1 ? symbol : ""))
    return isPlain ? exactly([symbol]) : unknown
  }

  #group(): Part {
    const [opening = ""] = /^\?(?:[:=!]|<[=!]|<[^>]*>)/.exec(this.#rest(200)) ?? []
    this.#skip(opening)
    const part = this.alternatives()
    this.#accept(")")
    // Looking around takes no room.
    return /^\?<?[=!]/.test(opening) ? empty : part
  }

  /** Small sets of single characters are known. */
  #class(): Part {
    const isNegated = this.#accept("^")
    const members: string[] = []
    let isKnown = !isNegated
    while (!this.isAtEnd && !this.#isNext("]")) {
      const symbol = this.#symbols[this.#at++] ?? ""
      const part = symbol === "\\" ? this.#classEscape() : this.#character(symbol)
      const isRange = this.#isNext("-") && this.#symbols[this.#at + 1] !== "]"
      if (part.exact === undefined || isRange) isKnown = false
      members.push(...(part.exact ?? []))
    }
    this.#accept("]")
    return isKnown && members.length > 0 && members.length <= MOST_OF_CLASS ? exactly(members) : unknown
  }

  #classEscape(): Part {
    // In a class these are no boundary and no group.
    if (this.#isNext("b") || /^\d/.test(this.#rest(1))) {
      this.#at++
      return unknown
    }
    return this.#escape()
  }

  #escape(): Part {
    const symbol = this.#symbols[this.#at++] ?? ""
    const control = { t: "\t", n: "\n", r: "\r", f: "\f", v: "\v" }[symbol]
    if (control !== undefined) return exactly([control])
    if (symbol === "b" || symbol === "B") return empty
    if (symbol === "x") return this.#code(/^[0-9a-fA-F]{2}/)
    if (symbol === "u") return this.#isNext("{") ? this.#codePoint() : this.#code(/^[0-9a-fA-F]{4}/)
    if (symbol === "p" || symbol === "P" || symbol === "k") return this.#named()
    if (/^\d/.test(symbol)) {
      while (/^\d/.test(this.#rest(1))) this.#at++
      return unknown
    }
    if (symbol === "c") {
      this.#at++
      return unknown
    }
    return /^[dDwWsS]$/.test(symbol) ? unknown : this.#character(symbol)
  }

  /** \xHH, \uHHHH. Without the digits it is the letter, where that is allowed. */
  #code(digits: RegExp): Part {
    const [hex] = digits.exec(this.#rest(4)) ?? []
    if (hex === undefined) return unknown
    this.#at += hex.length
    return this.#character(String.fromCharCode(Number.parseInt(hex, 16)))
  }

  #codePoint(): Part {
    // Without the flag it is the letter u so many times.
    if (!this.#isUnicode) return unknown
    const [whole, hex = ""] = /^\{([0-9a-fA-F]+)\}/.exec(this.#rest(12)) ?? []
    this.#at += whole?.length ?? 0
    return whole === undefined ? unknown : this.#character(String.fromCodePoint(Number.parseInt(hex, 16)))
  }

  /** \p{…}, \k<…>. */
  #named(): Part {
    const [whole = ""] = /^(?:\{[^}]*\}|<[^>]*>)/.exec(this.#rest(200)) ?? []
    this.#skip(whole)
    return unknown
  }

  #isNext(symbol: string): boolean {
    return this.#symbols[this.#at] === symbol
  }

  #accept(symbol: string): boolean {
    if (!this.#isNext(symbol)) return false
    this.#at++
    return true
  }

  #skip(text: string): void {
    this.#at += this.#isUnicode ? Array.from(text).length : text.length
  }

  #rest(length: number): string {
    return this.#symbols.slice(this.#at, this.#at + length).join("")
  }
}
