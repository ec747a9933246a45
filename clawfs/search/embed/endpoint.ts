/**
 * One request to an embedding endpoint. It is not trusted: not for how many vectors it gives, nor of what kind, nor how much it sends
 * and how fast. Redirects are not followed, so that the key goes nowhere but where it was meant for.
 */
import { Fault, type FaultKind } from "../../core/fault.ts"
import { ollamaAnswer, openaiAnswer, type HttpEmbedderConfig } from "../../../schema/search.ts"

/** An answer other than 200. */
export class StatusFault extends Fault {
  readonly status: number
  /** What Retry-After says. */
  readonly retryAfterMs: number | undefined

  constructor(status: number, message: string, retryAfterMs: number | undefined) {
    const kinds: Readonly<Record<number, FaultKind>> = {
      400: "invalid",
      413: "invalid",
      401: "denied",
      403: "denied",
      429: "busy",
    }
    super(kinds[status] ?? "io", message)
    this.status = status
    this.retryAfterMs = retryAfterMs
  }
}

/** JSON writes a number in at most 24 characters; some room for what is around them. */
const BYTES_A_NUMBER = 32
const BYTES_AROUND = 1_000_000
const MESSAGE_BYTES = 2000

/** Throws `Fault("invalid")` for an address to which a key must not be sent. */
export function checkAddress(config: HttpEmbedderConfig): void {
  const { protocol, hostname, username, password } = new URL(config.url)
  if (username !== "" || password !== "")
    throw new Fault("invalid", "the embedder's url has a user name in it", { hint: "use keyFile" })
  const isLocal = hostname === "localhost" || hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(hostname)
  if (protocol === "http:" && config.keyFile !== undefined && !isLocal)
    throw new Fault("invalid", "the embedder's key would go over the network unencrypted", {
      hint: "use https",
    })
}

/** One vector a text, in their order, of the configured dimensions, finite and not zero; or a `Fault`. */
export async function requestVectors(
  config: HttpEmbedderConfig,
  texts: readonly string[],
  key: string | undefined,
  signal: AbortSignal,
): Promise<Float32Array[]> {
  const response = await send(config, texts, key, signal)
  if (response.status !== 200) throw await statusFault(response)
  const type = response.headers.get("content-type") ?? "nothing"
  if (!/\bjson\b/i.test(type)) {
    await response.body?.cancel()
    throw new Fault("io", `the embedding endpoint answers with ${type.slice(0, 80)} instead of JSON`)
  }
  const most = texts.length * config.dimensions * BYTES_A_NUMBER + BYTES_AROUND
  return vectorsIn(parsed(await bounded(response, most)), config, texts.length)
}

async function send(
  { api, url, model, dimensions, requestDimensions }: HttpEmbedderConfig,
  texts: readonly string[],
  key: string | undefined,
  signal: AbortSignal,
): Promise<Response> {
  const path = api === "openai" ? "/v1/embeddings" : "/api/embed"
  const body = { model, input: texts, ...(requestDimensions ? { dimensions } : {}) }
  try {
    return await fetch(url.replace(/\/+$/, "") + path, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      },
      body: JSON.stringify(body),
      ...{ redirect: "manual", signal },
    })
  } catch (cause) {
    if (signal.aborted) throw cause
    const { cause: reason } = cause as { cause?: NodeJS.ErrnoException }
    throw new Fault("io", `the embedding endpoint can't be reached (${reason?.code ?? "no connection"})`, {
      cause,
    })
  }
}

async function statusFault(response: Response): Promise<Fault> {
  const { status, headers } = response
  if (status >= 300 && status < 400) {
    await response.body?.cancel()
    return new StatusFault(
      status,
      "the embedding endpoint sends us elsewhere, which is not followed",
      undefined,
    )
  }
  const text = (await bounded(response, BYTES_AROUND)).toString("utf8", 0, MESSAGE_BYTES)
  const [, message = ""] = /"(?:message|error)"\s*:\s*"([^"]{1,200})/.exec(text) ?? []
  // What a stranger sends goes to a terminal.
  const printable = message.replace(/[\x00-\x1f\x7f-\x9f]/g, " ")
  return new StatusFault(
    status,
    `the embedding endpoint answers ${status}${printable === "" ? "" : `: ${printable}`}`,
    retryAfter(headers),
  )
}

/** Seconds or a date (RFC 9110, 10.2.3). */
function retryAfter(headers: Headers): number | undefined {
  const value = headers.get("retry-after") ?? ""
  if (/^\d{1,6}$/.test(value)) return Number(value) * 1000
  const at = Date.parse(value)
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now())
}

async function bounded(response: Response, most: number): Promise<Buffer> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    parts.push(part)
    length += part.length
    // Leaving the loop closes the connection.
    if (length > most) throw new Fault("io", `the embedding endpoint sends more than ${most} bytes`)
  }
  return Buffer.concat(parts)
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"))
  } catch (cause) {
    throw new Fault("io", "the embedding endpoint's answer is no JSON", { cause })
  }
}

function vectorsIn(answer: unknown, { api, dimensions }: HttpEmbedderConfig, count: number): Float32Array[] {
  const rows = api === "openai" ? openaiRows(answer) : ollamaAnswer.safeParse(answer).data?.embeddings
  if (rows === undefined) throw new Fault("io", "the embedding endpoint's answer has no vectors in it")
  if (rows.length !== count)
    throw new Fault("io", `the embedding endpoint gave ${rows.length} vectors for ${count} texts`)
  return rows.map((row) => {
    if (row.length !== dimensions)
      throw new Fault(
        "io",
        `the embedding endpoint gave ${row.length} dimensions, configured are ${dimensions}`,
      )
    const vector = Float32Array.from(row)
    if (!vector.every(Number.isFinite) || !vector.some((x) => x !== 0))
      throw new Fault("io", "the embedding endpoint gave a vector that is not finite or zero")
    return vector
  })
}

/** By their index, each once. */
function openaiRows(answer: unknown): number[][] | undefined {
  const { data } = openaiAnswer.safeParse(answer)
  const rows = data?.data.toSorted((a, b) => a.index - b.index)
  return rows?.every(({ index }, i) => index === i) === true
    ? rows.map(({ embedding }) => embedding)
    : undefined
}
