/**
 * `clawfs search --grep`: the index says which files may have a match, the pattern is then looked for in their contents, line by line.
 * What can't have a match is never read.
 *
 * A pattern can be made that takes for ever (`(a+)+$`); so this runs in the process of whoever asked, never in the server.
 */
import { Fault } from "../../core/fault.ts"
import { candidates } from "../index/gram-search.ts"
import { literal, type GramPlan } from "../index/gram-plan.ts"
import type { IndexReader } from "../index/reader.ts"
import { selectionSql, type Selection } from "../index/selection.ts"
import { regexPlan } from "./regex-plan.ts"

export interface GrepOptions {
  /** Upper and lower case are the same. */
  readonly isCaseless?: boolean
  /** The pattern is a string, not a regular expression. */
  readonly isLiteral?: boolean
  readonly selection?: Selection
  readonly visible?: (ino: number) => boolean
  readonly signal?: AbortSignal
}

export interface GrepMatch {
  readonly ino: number
  readonly path: Buffer
  /** From 1. */
  readonly line: number
  /** The line without its end. */
  readonly text: string
}

/** The text of a file as it was, or would be, indexed; undefined when it is gone. */
export type ReadText = (ino: number) => Promise<string | undefined>

/**
 * Lines that match, by path in the order of bytes. A file with several names is listed under its first one that is selected.
 * Throws `Fault("invalid")` for what is no regular expression (ECMAScript's, with flag u or, if it is none then, without).
 */
export async function* grep(
  reader: IndexReader,
  pattern: string,
  read: ReadText,
  options: GrepOptions = {},
): AsyncGenerator<GrepMatch> {
  const matcher = new LineMatcher(pattern, options)
  const found = reader.snapshot(() =>
    candidates(reader, matcher.plan, selectionSql(options.selection ?? {}))
      .filter((ino) => options.visible?.(ino) ?? true)
      .flatMap((ino) => {
        const path = firstPath(reader, ino, options.selection)
        return path === undefined ? [] : [{ ino, path }]
      }),
  )
  found.sort((a, b) => a.path.compare(b.path))
  for (const { ino, path } of found) {
    options.signal?.throwIfAborted()
    const text = await read(ino)
    if (text === undefined) continue
    for (const { line, text: matched } of matcher.lines(text)) yield { ino, path, line, text: matched }
  }
}

function firstPath(reader: IndexReader, ino: number, selection: Selection | undefined): Buffer | undefined {
  const paths = reader.paths(ino)
  const below = selection?.below ?? []
  const isSelected = (path: Buffer): boolean =>
    below.length === 0 ||
    below.some(
      (top) =>
        top.length === 0 ||
        path.equals(top) ||
        path.subarray(0, top.length + 1).equals(Buffer.concat([top, SLASH])),
    )
  return paths.find(isSelected) ?? paths[0]
}

const SLASH = Buffer.from("/")

/** A pattern, what the index is asked for it, and where it matches in a text. */
export class LineMatcher {
  readonly plan: GramPlan
  readonly #regex: RegExp
  /** A string that is in every line that matches. */
  readonly #anchor: string | undefined

  constructor(pattern: string, { isCaseless = false, isLiteral = false }: GrepOptions = {}) {
    if (pattern === "") throw new Fault("invalid", "the pattern is empty")
    const source = isLiteral ? pattern.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&") : pattern
    // A dot is any character of a line, also those that ECMAScript takes for the end of one.
    const flags = isCaseless ? "si" : "s"
    const regex = compiled(source, `${flags}u`) ?? compiled(source, flags)
    if (regex === undefined)
      throw new Fault("invalid", "the pattern is no regular expression", {
        hint: "to look for it as it stands, add --fixed",
      })
    this.#regex = regex
    // A string with letters outside of ASCII is left to the parser, which knows what to do when case does not count.
    this.plan =
      isLiteral && !isCaseless
        ? literal(pattern)
        : regexPlan(source, { isCaseless, isUnicode: regex.unicode })
    this.#anchor = isCaseless ? undefined : anchorOf(this.plan)
  }

  *lines(text: string): Generator<{ readonly line: number; readonly text: string }> {
    let line = 1
    let counted = 0
    for (let at = 0; at < text.length;) {
      const from = this.#anchor === undefined ? at : text.indexOf(this.#anchor, at)
      if (from < 0) return
      const start = from === 0 ? 0 : text.lastIndexOf("\n", from - 1) + 1
      const newline = text.indexOf("\n", from)
      const end = newline < 0 ? text.length : newline
      const candidate = text.slice(start, end)
      if (this.#regex.test(candidate)) {
        line += newlines(text, counted, start)
        counted = start
        yield { line, text: candidate }
      }
      at = end + 1
    }
  }
}

function compiled(source: string, flags: string): RegExp | undefined {
  try {
    return new RegExp(source, flags)
  } catch {
    // The caller says so, in words of its own.
    return undefined
  }
}

/** The longest string that the plan demands whatever else. */
function anchorOf(plan: GramPlan): string | undefined {
  if (plan.kind === "literal") return plan.text.includes("\n") ? undefined : plan.text
  if (plan.kind !== "and") return undefined
  const anchors = plan.parts.flatMap((part) => anchorOf(part) ?? [])
  return anchors.sort((a, b) => b.length - a.length)[0]
}

function newlines(text: string, from: number, to: number): number {
  let count = 0
  for (let at = text.indexOf("\n", from); at >= 0 && at < to; at = text.indexOf("\n", at + 1)) count++
  return count
}
