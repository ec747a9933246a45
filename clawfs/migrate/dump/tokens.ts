/**
 * SQL as pg_dump writes it, cut into statements and their words (docs of PostgreSQL, "Lexical Structure"), line by line. Nothing
 * is run: what a statement means is for `statements.ts`.
 */
import { Fault } from "../../core/fault.ts"

/** `word`: a keyword or plain name, lower-cased. `name`: in double quotes. `escaped`: a string with escapes, E'…' and the like. */
export type TokenKind = "word" | "name" | "string" | "escaped" | "bits" | "number" | "sign"

export interface Token {
  readonly kind: TokenKind
  readonly text: string
}

const MOST_STATEMENT = 64 * 1024 * 1024
const SPACE = /\s+/y
const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y
const NUMBER = /(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y
const DOLLAR = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y

/** What goes on over the end of a line. */
interface Open {
  readonly kind: "string" | "escaped" | "bits" | "name" | "dollar" | "comment"
  /** What ends it. */
  readonly end: string
  text: string
  /** Of comments, which can be in each other. */
  depth: number
}

export class Tokenizer {
  #tokens: Token[] = []
  #open: Open | undefined
  #size = 0
  #parentheses = 0
  /** Of bodies that are SQL themselves, BEGIN ATOMIC … END, in which a semicolon ends nothing. */
  #bodies = 0

  /** Between two statements: a line here may be a comment or a command of psql's. */
  get isIdle(): boolean {
    return this.#open === undefined && this.#tokens.length === 0
  }

  /** Takes a line with its end; gives the statements that end in it. Throws a `Fault` for what is no dump. */
  line(text: string): Token[][] {
    const ended: Token[][] = []
    this.#size += text.length
    if (this.#size > MOST_STATEMENT)
      throw new Fault("invalid", `the dump has a statement of more than ${MOST_STATEMENT} characters`)
    for (let at = 0; at < text.length;) {
      if (this.#open !== undefined) at = this.#goOn(this.#open, text, at)
      else if (text.startsWith("--", at)) at = text.length
      else if (text[at] === ";" && this.#parentheses === 0 && this.#bodies === 0) {
        if (this.#tokens.length > 0) ended.push(this.#tokens)
        this.#tokens = []
        this.#size = text.length - at
        at += 1
      } else at = this.#next(text, at)
    }
    if (this.isIdle) this.#size = 0
    return ended
  }

  #next(text: string, at: number): number {
    const space = matchAt(SPACE, text, at)
    if (space !== undefined) return at + space.length
    const word = matchAt(WORD, text, at)
    if (word !== undefined) return this.#word(word, text, at + word.length)
    const number = matchAt(NUMBER, text, at)
    if (number !== undefined) return this.#push("number", number, at + number.length)
    const dollar = matchAt(DOLLAR, text, at)
    if (dollar !== undefined) return this.#begin("dollar", dollar, at + dollar.length)
    if (text.startsWith("/*", at)) return this.#begin("comment", "*/", at + 2)
    const sign = text[at] ?? ""
    if (sign === "'") return this.#begin("string", "'", at + 1)
    if (sign === '"') return this.#begin("name", '"', at + 1)
    if (sign === "\\") throw commandFault(text.slice(at))
    if (sign === "(") this.#parentheses += 1
    if (sign === ")") this.#parentheses = Math.max(0, this.#parentheses - 1)
    return this.#push("sign", sign, at + 1)
  }

  #word(word: string, text: string, end: number): number {
    const lower = word.toLowerCase()
    if (text[end] === "'" && lower === "e") return this.#begin("escaped", "'", end + 1)
    if (text[end] === "'" && (lower === "b" || lower === "x")) return this.#begin("bits", "'", end + 1)
    const last = this.#tokens.at(-1)
    if (lower === "atomic" && last?.kind === "word" && last.text === "begin") this.#bodies = 1
    else if (this.#bodies > 0 && (lower === "begin" || lower === "case")) this.#bodies += 1
    else if (this.#bodies > 0 && lower === "end") this.#bodies -= 1
    return this.#push("word", lower, end)
  }

  #push(kind: TokenKind, text: string, end: number): number {
    this.#tokens.push({ kind, text })
    return end
  }

  #begin(kind: Open["kind"], end: string, at: number): number {
    this.#open = { kind, end, text: "", depth: 1 }
    return at
  }

  #goOn(open: Open, text: string, at: number): number {
    if (open.kind === "comment") return this.#comment(open, text, at)
    const end = open.kind === "escaped" ? endOfEscaped(text, at) : text.indexOf(open.end, at)
    if (end < 0) {
      open.text += text.slice(at)
      return text.length
    }
    open.text += text.slice(at, end)
    const behind = end + open.end.length
    if (open.kind !== "dollar" && text[behind] === open.end) {
      open.text += open.end
      return behind + 1
    }
    this.#open = undefined
    return this.#push(open.kind === "dollar" ? "string" : open.kind, open.text, behind)
  }

  #comment(open: Open, text: string, at: number): number {
    const [end, begin] = [text.indexOf("*/", at), text.indexOf("/*", at)]
    if (begin >= 0 && (end < 0 || begin < end)) {
      open.depth += 1
      return begin + 2
    }
    if (end < 0) return text.length
    open.depth -= 1
    if (open.depth === 0) this.#open = undefined
    return end + 2
  }
}

/** Psql's commands are orders to a program that is not here. */
export function commandFault(text: string): Fault {
  const [name = "\\"] = /^\\[A-Za-z!?]*/.exec(text) ?? []
  return new Fault("invalid", `the dump has a command of psql's (${name}), which is not run`, {
    hint: "pg_dump writes none: somebody has changed the file",
  })
}

function endOfEscaped(text: string, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === "'") return at
    if (text[at] === "\\") at += 1
  }
  return -1
}

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0]
}
