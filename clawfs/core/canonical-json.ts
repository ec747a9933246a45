/**
 * JSON in its one canonical form, after RFC 8785 (JSON Canonicalization Scheme): members in the order of their names' UTF-16
 * code units, no white space, numbers and strings as ECMAScript writes them. What is signed or summed is this text as UTF-8.
 */
import { Fault } from "./fault.ts"

/** Deeper than anything that is written; a hostile text must not exhaust the stack. */
const MOST_DEPTH = 200
/** Half of a surrogate pair: with "u", whole pairs are one character. */
const HALF = /\p{Surrogate}/u

/**
 * The canonical text of what `JSON.parse` gives. Throws `Fault("invalid")` for what JSON can't say: a number that is not
 * finite, half of a surrogate pair, `undefined`, and for values that are nested more than 200 deep.
 */
export function canonicalJson(value: unknown): string {
  return textOf(value, 0)
}

function textOf(value: unknown, depth: number): string {
  if (depth > MOST_DEPTH) throw new Fault("invalid", `the JSON is nested more than ${MOST_DEPTH} deep`)
  switch (typeof value) {
    case "boolean":
      return String(value)
    case "number":
      if (!Number.isFinite(value)) throw new Fault("invalid", `JSON has no number ${value}`)
      return JSON.stringify(value)
    case "string":
      if (HALF.test(value)) throw new Fault("invalid", "a string of the JSON is no Unicode text")
      return JSON.stringify(value)
    case "object":
      return value === null ? "null" : inside(value, depth)
    default:
      throw new Fault("invalid", `JSON has no ${typeof value}`)
  }
}

function inside(value: object, depth: number): string {
  if (Array.isArray(value)) return `[${value.map((each) => textOf(each, depth + 1)).join(",")}]`
  const members = value as Readonly<Record<string, unknown>>
  // The order of `sort` is that of UTF-16 code units.
  const texts = Object.keys(members)
    .sort()
    .map((name) => `${textOf(name, depth)}:${textOf(members[name], depth + 1)}`)
  return `{${texts.join(",")}}`
}
