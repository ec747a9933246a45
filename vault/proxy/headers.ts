/** Which headers go through the proxy, in both directions. */
import { Fault } from "../../clawfs/core/fault.ts"
import type { LeakScanner } from "../leaks.ts"
import { redacted } from "../leaks.ts"

export type Headers = Record<string, string | string[]>

/** Of the connection, not of the message (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = [
  ...["connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te"],
  ...["trailer", "transfer-encoding", "upgrade", "http2-settings"],
]
/** The proxy says these itself. */
const OWN = ["host", "content-length", "accept-encoding", "expect"]
/** They would make the server take the request for another one. */
const MISLEADING = [
  ...["x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url"],
  ...[
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "forwarded",
    "x-real-ip",
  ],
]
const TO_SERVER = new Set([...HOP_BY_HOP, ...OWN, ...MISLEADING])
/** One of a kind: two are read differently by different programs. */
const SINGLE = new Set([
  "content-type",
  "content-length",
  "host",
  "authorization",
  "content-encoding",
  "range",
])

/** Cookies would be credentials of their own; the rest says something of the connection or its body's form. */
const FROM_SERVER = new Set([
  ...HOP_BY_HOP,
  ...["content-length", "content-encoding", "set-cookie", "set-cookie2", "alt-svc"],
  ...["strict-transport-security", "public-key-pins", "expect-ct", "report-to", "nel"],
])

/** `raw`: names and values in turn. `without`: those that the proxy writes, and that had its token. */
export function toServer(raw: readonly string[], without: ReadonlySet<string>): Headers {
  const all: Record<string, string[]> = Object.create(null) as Record<string, string[]>
  const dropped = new Set([...TO_SERVER, ...without])
  for (let at = 0; at < raw.length; at += 2) {
    const [name, value] = [(raw[at] ?? "").toLowerCase(), raw[at + 1] ?? ""]
    if (name === "connection") for (const each of value.split(",")) dropped.add(each.trim().toLowerCase())
    ;(all[name] ??= []).push(value)
  }
  const headers: Headers = {}
  for (const [name, values] of Object.entries(all)) {
    if (values.length > 1 && SINGLE.has(name))
      throw new Fault("invalid", `the request has two headers ${name}`)
    if (!dropped.has(name)) headers[name] = values.length === 1 ? (values[0] ?? "") : values
  }
  return headers
}

/** What of an answer's headers goes to the client; values of secrets are taken out. Counts them. */
export function fromServer(
  raw: readonly string[],
  scanner: LeakScanner,
): { readonly headers: Headers; readonly leaks: number } {
  const headers: Headers = {}
  let leaks = 0
  for (let at = 0; at < raw.length; at += 2) {
    const name = (raw[at] ?? "").toLowerCase()
    if (FROM_SERVER.has(name)) continue
    const [key, value] = [redacted(scanner, name), redacted(scanner, raw[at + 1] ?? "")]
    leaks += key.count + value.count
    // A header whose name is a secret has nothing to say.
    if (key.count > 0) continue
    const before = headers[name]
    headers[name] = before === undefined ? value.text : [before, value.text].flat()
  }
  return { headers, leaks }
}
