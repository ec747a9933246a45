/**
 * AWS Signature Version 4, in the header `Authorization`, of requests with one chunk ("Create a signed AWS API request", IAM User
 * Guide). The value of the secret is `ID:SECRET`.
 */
import { createHash } from "node:crypto"
import { Fault } from "../../clawfs/core/fault.ts"
import { hmac } from "../../keyring/primitives.ts"
import { wipe } from "../../keyring/secret.ts"

const ALGORITHM = "AWS4-HMAC-SHA256"
const COLON = 0x3a
/** Shorter ones are mistakes. */
const LEAST_ID = 8
const LEAST_SECRET = 16
const PREFIX = Buffer.from("AWS4")
const EMPTY_HASH = createHash("sha256").digest("hex")
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/

export interface AwsRequest {
  readonly method: string
  /** https://host/path?query */
  readonly url: string
  /** Signed with the request, besides host and x-amz-date. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** SHA-256 of the body, hexadecimal, or UNSIGNED-PAYLOAD; of an empty one unless given. */
  readonly payloadHash?: string | undefined
  readonly region: string
  readonly service: string
}

/** What the request's sender adds to it. */
export type AwsHeaders = Readonly<Record<string, string>>

/** Signs at the time `now` (milliseconds since 1970). `room`: secret memory, four bytes longer than `value`. */
export function signAws(request: AwsRequest, value: Buffer, room: Buffer, now: number): AwsHeaders {
  const colon = value.indexOf(COLON)
  const secret = value.subarray(colon + 1)
  if (
    colon < LEAST_ID ||
    secret.length < LEAST_SECRET ||
    secret.some((byte) => byte <= 0x20 || byte === COLON)
  )
    throw new Fault("invalid", "the value is no access key of AWS", { hint: "it has the form ID:SECRET" })
  const id = value.toString("latin1", 0, colon)
  if (!/^\w+$/.test(id)) throw new Fault("invalid", "the value is no access key of AWS")
  const time = new Date(now).toISOString().replace(/[-:]|\.\d{3}/g, "")
  const { region, service } = request
  const scope = `${time.slice(0, 8)}/${region}/${service}/aws4_request`
  const { text, signed, headers } = canonical(request, time)
  const toSign = [ALGORITHM, time, scope, createHash("sha256").update(text).digest("hex")].join("\n")
  const key = room.subarray(0, PREFIX.length + secret.length)
  key.set(PREFIX)
  key.set(secret, PREFIX.length)
  const signature = chained(key, [time.slice(0, 8), region, service, "aws4_request", toSign]).toString("hex")
  const parts = [`Credential=${id}/${scope}`, `SignedHeaders=${signed}`, `Signature=${signature}`]
  return { ...headers, authorization: `${ALGORITHM} ${parts.join(", ")}` }
}

/** The HMAC of each word under that of the words before it. */
function chained(key: Buffer, words: readonly string[]): Buffer {
  return words.reduce((current, word, at) => {
    const next = hmac(current, Buffer.from(word))
    if (at > 0) wipe(current)
    return next
  }, key)
}

function canonical(
  request: AwsRequest,
  time: string,
): { readonly text: string; readonly signed: string; readonly headers: Record<string, string> } {
  const url = parsedUrl(request.url)
  const hash = request.payloadHash ?? EMPTY_HASH
  // S3 wants to see the hash, and no path encoded twice.
  const isS3 = request.service === "s3"
  const added = { "x-amz-date": time, ...(isS3 ? { "x-amz-content-sha256": hash } : {}) }
  const all = new Map<string, string>([["host", url.host], ...Object.entries(added)])
  for (const [name, value] of Object.entries(request.headers ?? {})) {
    const key = name.toLowerCase()
    // A header that the sender gives and the vault adds would be in the request twice.
    if (all.has(key) || key === "authorization" || !TOKEN.test(key) || /[^\t\x20-\x7e]/.test(value))
      throw new Fault("invalid", `the header ${JSON.stringify(name)} can't be signed`)
    all.set(key, value.trim().replace(/ +/g, " "))
  }
  const names = [...all.keys()].sort()
  const lines = names.map((name) => `${name}:${all.get(name) ?? ""}\n`).join("")
  const signed = names.join(";")
  const path = isS3 ? encoded(decodedPath(url)) : encoded(url.pathname)
  const text = [request.method, path, canonicalQuery(url), lines, signed, hash].join("\n")
  return { text, signed, headers: added }
}

function parsedUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol === "https:" && url.username === "" && url.hash === "") return url
  throw new Fault("invalid", "the URL of a request to AWS is https://host/path?query")
}

function decodedPath({ pathname }: URL): string {
  return decoded(pathname)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw new Fault("invalid", "the URL is not encoded as URLs are", { cause })
  }
}

/** Everything but unreserved characters and slashes. */
function encoded(path: string): string {
  return path
    .split("/")
    .map((segment) => strictly(segment))
    .join("/")
}

function strictly(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function canonicalQuery({ search }: URL): string {
  if (search.length < 2) return ""
  return search
    .slice(1)
    .split("&")
    .map((pair) => {
      const at = pair.indexOf("=")
      const [name, value] = at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)]
      return [strictly(decoded(name)), strictly(decoded(value))] as const
    })
    .sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map(([name, value]) => `${name}=${value}`)
    .join("&")
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
