/** Puts a value into a request at the place that the grant says. What the client had there is taken out or refused. */
import { Fault } from "../../clawfs/core/fault.ts"
import type { Place } from "../../schema/endpoint.ts"
import { hasParameter } from "./target.ts"

/** Stands in a JSON body where the value is to be. */
export const PLACEHOLDER = "{{secret}}"

export interface Draft {
  readonly query: string
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: Buffer
  readonly contentType: string
}

/** The header that the proxy writes; undefined for other places. */
export function headerOf(place: Place): string | undefined {
  if ("header" in place) return place.header.toLowerCase()
  return "basic" in place ? "authorization" : undefined
}

/** Throws `Fault("invalid")` for a value or request that does not fit; nothing of the value is in the message. */
export function placed(place: Place, draft: Draft, value: Buffer): Draft {
  const name = headerOf(place)
  if ("header" in place || "basic" in place) {
    const text = textOf(value)
    const written =
      "basic" in place
        ? `Basic ${Buffer.from(`${place.basic}:${text}`, "latin1").toString("base64")}`
        : (place.format ?? "{}").replace("{}", () => text)
    return { ...draft, headers: { ...draft.headers, [name ?? ""]: written } }
  }
  if ("query" in place) {
    if (hasParameter(draft.query, place.query)) throw taken(`the parameter ${place.query}`)
    const start = draft.query.length > 1 ? `${draft.query}&` : "?"
    return { ...draft, query: `${start}${place.query}=${encodeURIComponent(textOf(value))}` }
  }
  return "form" in place ? inForm(place.form, draft, value) : inJson(place.json, draft, value)
}

/** A header ends at a newline, and what follows would be another one. */
function textOf(value: Buffer): string {
  let end = value.length
  // Files end with a newline that nobody means.
  while (end > 0 && (value[end - 1] === 0x0a || value[end - 1] === 0x0d)) end -= 1
  const text = value.subarray(0, end)
  if (text.some((byte) => byte < 0x20 || byte > 0x7e)) throw unfit()
  return text.toString("latin1")
}

function inForm(field: string, draft: Draft, value: Buffer): Draft {
  if (!draft.contentType.startsWith("application/x-www-form-urlencoded"))
    throw new Fault("invalid", "the request is no form")
  const body = draft.body.toString("latin1")
  if (body !== "" && hasParameter(`?${body}`, field)) throw taken(`the field ${field}`)
  const start = body === "" ? "" : `${body}&`
  const text = encodeURIComponent(textOf(value))
  return { ...draft, body: Buffer.from(`${start}${field}=${text}`, "latin1") }
}

/** The placeholder stands in the body once, and is what a reader finds at the place. */
function inJson(pointer: string, draft: Draft, value: Buffer): Draft {
  if (!/^application\/([\w.-]+\+)?json(;|$)/.test(draft.contentType))
    throw new Fault("invalid", "the request's body is no JSON")
  const body = draft.body.toString("utf8")
  const at = body.indexOf(PLACEHOLDER)
  const text = textOf(value)
  const filled = body.replace(PLACEHOLDER, () => JSON.stringify(text).slice(1, -1))
  // Looked at afterwards: the place could have the placeholder in another writing, and the one that is filled be elsewhere.
  if (at < 0 || body.includes(PLACEHOLDER, at + 1) || found(filled, pointer) !== text)
    throw new Fault("invalid", `the body must have ${PLACEHOLDER} once, at ${pointer}`)
  return { ...draft, body: Buffer.from(filled) }
}

function found(body: string, pointer: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    // What does not parse has nothing there.
    return undefined
  }
  for (const name of pointer.slice(1).split("/")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

function taken(what: string): Fault {
  return new Fault("invalid", `${what} is the secret's place`)
}

function unfit(): Fault {
  return new Fault("invalid", "the value can't stand in a request: it is not one line of ASCII")
}
