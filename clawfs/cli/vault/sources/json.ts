/**
 * A JSON object of names and values; objects in it are levels of names, as `kubectl`, `vault kv get -format=json` or `op` write
 * them. The parser's strings can't be wiped: they go with this process, which ends after the import.
 */
import { Fault } from "../../../core/fault.ts"
import type { ForeignValue, ForeignValues } from "./value.ts"

const MOST_LEVELS = 16

/** Texts as they are, numbers and truth values as JSON writes them. Throws `Fault("invalid")` for lists and for no object. */
export function readJson(bytes: Buffer): ForeignValues {
  const notes: string[] = []
  const values: ForeignValue[] = []
  const visit = (value: unknown, path: readonly string[]): void => {
    const source = path.join("/")
    if (path.length > MOST_LEVELS) throw new Fault("invalid", `${source} has more than ${MOST_LEVELS} levels`)
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      for (const [name, below] of Object.entries(value)) visit(below, [...path, name])
      return
    }
    const text = typeof value === "number" || typeof value === "boolean" ? String(value) : value
    if (text === null || text === "") notes.push(`${source} is empty and was left out`)
    else if (typeof text === "string") values.push({ source, value: Buffer.from(text) })
    else throw new Fault("invalid", `${source} is a list, which is no value`)
  }
  const parsed = parse(bytes)
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
    throw new Fault("invalid", "this is no JSON object of names and values")
  visit(parsed, [])
  return { values, notes }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    // The parser's own message would quote the text, and with it a value.
    throw new Fault("invalid", "this is not JSON")
  }
}
