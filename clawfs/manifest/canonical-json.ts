/**
 * JSON in the one form that is signed (RFC 8785): no white space, members ordered by the UTF-16 code units of their names,
 * numbers and strings as ECMAScript writes them.
 */
import { Fault } from "../core/fault.ts"

const LONE_SURROGATE = /\p{Surrogate}/u

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

/** Throws `Fault("invalid")` for what has no such form: numbers that are not finite, halves of surrogate pairs. */
export function canonicalJson(value: Json): string {
  if (typeof value === "number" && !Number.isFinite(value))
    throw new Fault("invalid", `${value} can't stand in canonical JSON`)
  if (typeof value === "string" && LONE_SURROGATE.test(value))
    throw new Fault("invalid", "a text with half of a surrogate pair can't stand in canonical JSON")
  if (value === null || typeof value !== "object") return JSON.stringify(value)
  if (isList(value)) return `[${value.map(canonicalJson).join(",")}]`
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return `{${members.map(([name, each]) => `${canonicalJson(name)}:${canonicalJson(each)}`).join(",")}}`
}

function isList(value: object): value is readonly Json[] {
  return Array.isArray(value)
}
