/**
 * The query language (docs/SEARCH.md, "Queries"): words, "quoted phrases", -not, and the filters path:, type:, ext:, since:, before:.
 * Anything else is words: no character has a meaning that could be got wrong.
 */
import { Fault } from "../../core/fault.ts"
import { STOP_WORDS, wordsOf } from "../embed/words.ts"
import type { Selection } from "../index/selection.ts"
import { instantOf } from "./instant.ts"

/** Bytes of UTF-8. A longer text is no question but a document. */
export const LONGEST_QUERY = 8 * 1024
/** Further words are left out: they are looked for one by one. */
const MOST_WORDS = 64

export interface ParsedQuery {
  /** The query without its filters and exclusions, as it was typed: what is embedded. */
  readonly text: string
  /** Single words in lower case, each once; stop words only if there is nothing else. */
  readonly words: readonly string[]
  /** Words that belong together but need not occur: what a name with marks in it ("read_file", "utf-8") was taken apart into. */
  readonly compounds: readonly (readonly string[])[]
  /** Must occur, the words in this order. */
  readonly phrases: readonly (readonly string[])[]
  /** Must not occur. */
  readonly excluded: readonly (readonly string[])[]
  readonly selection: Selection
  /** It is one name as programs write them, or phrases only: meaning has nothing to add. */
  readonly isLiteral: boolean
}

interface Token {
  readonly isExcluded: boolean
  readonly key: string | undefined
  readonly isQuoted: boolean
  readonly value: string
}

const FILTERS = ["path", "type", "ext", "since", "before"] as const
type Filter = (typeof FILTERS)[number]

/** Throws `Fault("invalid")` with a hint for what can't be searched for. `now`: seconds since 1970. */
export function parseQuery(query: string, now: number): ParsedQuery {
  const length = Buffer.byteLength(query)
  if (length > LONGEST_QUERY)
    throw new Fault("invalid", `the query has ${length} bytes, more than ${LONGEST_QUERY}`, {
      hint: "search for some words of it",
    })
  const tokens = tokensOf(query)
  const selection = selectionOf(tokens, now)
  const rest = tokens.filter(({ key }) => key === undefined)
  const wanted = rest.filter(({ isExcluded }) => !isExcluded)
  const excluded = rest.filter(({ isExcluded }) => isExcluded).map(({ value }) => wordsOf(value))
  const quoted = wanted.filter(({ isQuoted }) => isQuoted).map(({ value }) => wordsOf(value))
  const bare = wanted.filter(({ isQuoted }) => !isQuoted).map(({ value }) => value)
  const phrases = quoted.filter((words) => words.length > 0)
  const words = significant(bare.flatMap(wordsOf))
  if (phrases.length === 0 && words.length === 0) throw nothingToSearch(tokens)
  return {
    text: wanted.map(({ value }) => value).join(" "),
    words,
    compounds: bare.map(wordsOf).filter((parts) => parts.length > 1),
    phrases,
    excluded: excluded.filter((parts) => parts.length > 0),
    selection,
    isLiteral: bare.length === 0 || (bare.length === 1 && isIdentifier(bare[0] ?? "")),
  }
}

function tokensOf(query: string): Token[] {
  const text = query.replace(/[\x00-\x1f\x7f]/g, " ")
  // What no filter could mean (http://, std::vector, "note: ") is text; path:/a is meant.
  const pattern =
    /(?<not>-)?(?:(?<key>(?:path|type|ext|since|before)(?=:\S)|[a-z]+(?=:[^\s:/])):)?(?:"(?<quoted>[^"]*)"?|(?<bare>[^\s"]+))/g
  return [...text.matchAll(pattern)].map(({ groups = {} }) => {
    const { not, key, quoted, bare } = groups as Record<string, string | undefined>
    return { isExcluded: not !== undefined, key, isQuoted: quoted !== undefined, value: quoted ?? bare ?? "" }
  })
}

/** Each once, without stop words unless there are no others. */
function significant(words: readonly string[]): string[] {
  const each = [...new Set(words)]
  const telling = each.filter((word) => !STOP_WORDS.has(word))
  return (telling.length > 0 ? telling : each).slice(0, MOST_WORDS)
}

/** readFile, read_file, fs.promises, std::vector, E1234: how no word of prose looks. */
function isIdentifier(word: string): boolean {
  return /[\p{L}\p{N}](_|::|\.|->|#|\/)[\p{L}\p{N}]|\p{Ll}\p{Lu}|\p{L}\p{N}|\(\)$/u.test(word)
}

function nothingToSearch(tokens: readonly Token[]): Fault {
  if (
    tokens.some(({ isExcluded, key, value }) => isExcluded && key === undefined && wordsOf(value).length > 0)
  )
    return new Fault("invalid", "the query only says what is not wanted", {
      hint: "add a word to search for",
    })
  if (tokens.some(({ key }) => key !== undefined))
    return new Fault("invalid", "the query has filters but nothing to search for", {
      hint: "add a word; `find` lists files by name and time",
    })
  return new Fault("invalid", "the query has no words", { hint: "search for letters or digits" })
}

function selectionOf(tokens: readonly Token[], now: number): Selection {
  const values = (wanted: Filter, isExcluded: boolean): string[] =>
    tokens
      .filter(({ key, isExcluded: not }) => key === wanted && not === isExcluded)
      .map(({ value }) => value)
  for (const { key } of tokens) {
    if (key !== undefined && !FILTERS.some((filter) => filter === key))
      throw new Fault("invalid", `there is no filter \`${key}:\``, {
        hint: `filters are ${FILTERS.map((filter) => `${filter}:`).join(" ")}; put it into quotes to search for it`,
      })
  }
  for (const filter of ["since", "before"] as const)
    if (values(filter, true).length > 0)
      throw new Fault("invalid", `\`-${filter}:\` has no meaning`, { hint: "use since: and before:" })
  const times = (filter: Filter): number[] =>
    values(filter, false).map((value) => instantOf(value, filter, now))
  const since = times("since")
  const before = times("before")
  return {
    below: values("path", false).map(pathOf),
    notBelow: values("path", true).map(pathOf),
    extensions: list(values("ext", false)).map(withoutDot),
    notExtensions: list(values("ext", true)).map(withoutDot),
    types: list(values("type", false)),
    notTypes: list(values("type", true)),
    ...(since.length > 0 ? { since: Math.max(...since) } : {}),
    ...(before.length > 0 ? { before: Math.min(...before) } : {}),
  }
}

const list = (values: readonly string[]): string[] =>
  values.flatMap((value) => value.toLowerCase().split(",")).filter((value) => value !== "")

const withoutDot = (extension: string): string => extension.replace(/^\*?\./, "")

/** "/notes/", "notes" and "./notes" name the same directory below the root. */
const pathOf = (path: string): Buffer =>
  Buffer.from(
    path
      .split("/")
      .filter((part) => part !== "" && part !== ".")
      .join("/"),
  )
