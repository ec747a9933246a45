/** One request through the proxy: what it may be, the value into it, to the server, the answer back. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { Agent, request as httpsRequest } from "node:https"
import { isIP } from "node:net"
import { pipeline } from "node:stream/promises"
import { Fault, type FaultKind } from "../../clawfs/core/fault.ts"
import { wipe } from "../../keyring/secret.ts"
import { MOST_EXPANSION } from "../encodings.ts"
import { LeakScanner, type Leak } from "../leaks.ts"
import type { Subject } from "../audit.ts"
import { mayConnectTo } from "./addresses.ts"
import { BodyFilter, decodedBody } from "./answer.ts"
import { fromServer, toServer, type Headers } from "./headers.ts"
import type { Given, Plan, VaultLink, Wanted } from "./link.ts"
import { headerOf, placed, type Draft } from "./placing.ts"
import { hasParameter, readTarget } from "./target.ts"

/** All addresses of a name. */
export type Resolve = (host: string) => Promise<readonly string[]>

const MOST_SCANNERS = 64
const IDLE_MS = 15_000
const MOST_SOCKETS = 64
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
const WITHOUT_BODY = new Set(["GET", "HEAD", "OPTIONS"])

/** A failure on the server's side: it is the same for the client, whatever the reason. */
const STATUS: Readonly<Partial<Record<FaultKind, number>>> = {
  denied: 403,
  invalid: 400,
  busy: 429,
  locked: 503,
  timeout: 504,
  unsupported: 502,
  io: 502,
}

export function statusOf(thrown: unknown): number {
  return thrown instanceof Fault ? (STATUS[thrown.kind] ?? 500) : 502
}

export class Forwarder {
  readonly #link: VaultLink
  readonly #resolve: Resolve
  readonly #agents = new Map<string, Agent>()
  readonly #scanners = new Map<string, LeakScanner>()

  constructor(link: VaultLink, resolve: Resolve) {
    this.#link = link
    this.#resolve = resolve
  }

  /** Answers `client`, or throws before anything of the answer is sent. `tokenHeaders`: those that had the proxy's token. */
  async forward(
    client: IncomingMessage,
    response: ServerResponse,
    subject: Subject,
    tokenHeaders: readonly string[],
  ): Promise<void> {
    const { method = "" } = client
    if (!METHODS.has(method)) throw new Fault("invalid", "the proxy does not forward this method")
    const { provider, host, path, query } = readTarget(client.url ?? "")
    const wanted: Wanted = { subject, provider, host, method, path }
    const plan = this.#planned(wanted, client)
    const own = headerOf(plan.place)
    const headers = toServer(
      client.rawHeaders,
      new Set([...tokenHeaders, ...(own === undefined ? [] : [own])]),
    )
    if ("query" in plan.place && hasParameter(query, plan.place.query))
      throw new Fault("invalid", "the request has a parameter where the secret belongs")
    const body = await bodyOf(client, plan.requestBytes)
    if (WITHOUT_BODY.has(method) && body.length > 0)
      throw new Fault("invalid", "a request of this method has no body")
    this.#requireNoDecoy(wanted, body, this.#link.decoys(plan.decoys))
    const address = await this.#addressOf(plan)
    const given = this.#link.use(wanted, plan.grant, address)
    const scanner = this.#scannerFor(plan, given)
    let draft: Draft = {
      query,
      headers,
      body,
      contentType: String(headers["content-type"] ?? "").toLowerCase(),
    }
    try {
      draft = placed(plan.place, draft, given.value)
    } finally {
      wipe(given.value)
    }
    const answer = await this.#sent(method, plan, address, draft)
    const leaks = await this.#answered(answer, response, plan, { scanner, wanted })
    if (leaks > 0) this.#link.leaked(wanted, plan.grant, leaks)
  }

  /** Also what no grant allows is looked through: who tries decoys tries them somewhere. */
  #planned(wanted: Wanted, { url = "", rawHeaders }: IncomingMessage): Plan {
    const head = Buffer.from([url, ...rawHeaders].join("\n"), "latin1")
    let plan: Plan
    try {
      plan = this.#link.plan(wanted)
    } catch (thrown) {
      this.#requireNoDecoy(wanted, head, this.#link.decoys())
      throw thrown
    }
    this.#requireNoDecoy(wanted, head, this.#link.decoys(plan.decoys))
    return plan
  }

  /** Throws `Fault("denied")`, as for what no grant allows, for a request with a decoy in it. */
  #requireNoDecoy(wanted: Wanted, bytes: Buffer, scanner: LeakScanner | undefined): void {
    const leaks = scanner?.scan(bytes) ?? []
    if (leaks.length === 0) return
    this.#link.tried(wanted, namesOf(leaks), "request")
    throw new Fault("denied", "no grant allows this")
  }

  /** The first address of the host; none of them may be where the grant does not lead. */
  async #addressOf({ host, networks }: Plan): Promise<string> {
    const bare = host.replace(/^\[|\]$/g, "")
    const addresses = isIP(bare) === 0 ? await this.#resolve(bare) : [bare]
    const [first] = addresses
    if (first === undefined) throw new Fault("io", "the host of the grant has no address")
    if (addresses.every((address) => mayConnectTo(address, networks))) return first
    throw new Fault("denied", "the host has an address that is not public, and not in the grant")
  }

  #scannerFor(plan: Plan, { value, version }: Given): LeakScanner {
    const key = `${plan.grant}:${version}`
    const known = this.#scanners.get(key)
    if (known !== undefined) return known
    if (this.#scanners.size >= MOST_SCANNERS) this.#scanners.clear()
    const scanner = new LeakScanner()
    scanner.add(plan.provider, value, Buffer.alloc(MOST_EXPANSION * value.length))
    this.#scanners.set(key, scanner)
    return scanner
  }

  /** Connections are kept for the address that was looked at, not for the name. */
  #agentFor({ host, port, ca, minVersion }: Plan, address: string): Agent {
    const key = JSON.stringify([host, port, ca, minVersion, address])
    const known = this.#agents.get(key)
    if (known !== undefined) return known
    const agent = new Agent({
      ...{ keepAlive: true, maxSockets: MOST_SOCKETS, timeout: IDLE_MS, maxCachedSessions: 0 },
      ...{ minVersion, rejectUnauthorized: true, ALPNProtocols: ["http/1.1"] },
      ...(ca === undefined ? {} : { ca }),
      ...(isIP(host) === 0 ? { servername: host } : {}),
    })
    if (this.#agents.size >= MOST_SCANNERS) this.close()
    this.#agents.set(key, agent)
    return agent
  }

  #sent(method: string, plan: Plan, address: string, draft: Draft): Promise<IncomingMessage> {
    const { host, port, basePath, path, timeoutMs } = plan
    const authority = port === 443 ? host : `${host}:${port}`
    const length = WITHOUT_BODY.has(method) ? {} : { "content-length": String(draft.body.length) }
    return new Promise((resolve, reject) => {
      const sent = httpsRequest({
        ...{ method, host: address, port, path: `${basePath}${path}${draft.query}`, timeout: timeoutMs },
        headers: { ...draft.headers, host: authority, "accept-encoding": "identity", ...length },
        agent: this.#agentFor(plan, address),
        insecureHTTPParser: false,
      })
      sent.on("response", resolve)
      sent.on("timeout", () => sent.destroy(new Fault("timeout", "the server does not answer")))
      sent.on("upgrade", (_answer, socket) => socket.destroy())
      sent.on("error", (cause) =>
        reject(cause instanceof Fault ? cause : new Fault("io", "the server can't be asked", { cause })),
      )
      sent.end(draft.body)
    })
  }

  async #answered(
    answer: IncomingMessage,
    response: ServerResponse,
    plan: Plan,
    { scanner, wanted }: { readonly scanner: LeakScanner; readonly wanted: Wanted },
  ): Promise<number> {
    const decoys = this.#link.decoys(plan.decoys)
    const seen = decoys?.scan(Buffer.from(answer.rawHeaders.join("\n"), "latin1")) ?? []
    const filters = [scanner, ...(decoys === undefined ? [] : [decoys])].map(
      (each) => new BodyFilter(each, plan.responseBytes),
    )
    const [filter, other] = filters
    try {
      const { headers, leaks } = fromServer(answer.rawHeaders, scanner)
      const { body, steps } = decodedBody(answer)
      response.writeHead(answer.statusCode ?? 502, relocated(withoutDecoys(headers, decoys), plan))
      response.flushHeaders()
      await pipeline([body, ...steps, ...filters, response])
      return leaks + (filter?.leaks ?? 0)
    } finally {
      answer.destroy()
      // Also of an answer that was cut off.
      const names = [...new Set([...namesOf(seen), ...(other?.names ?? [])])]
      if (names.length > 0) this.#link.tried(wanted, names, "answer")
    }
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy()
    this.#agents.clear()
  }
}

function namesOf(leaks: readonly Leak[]): string[] {
  return [...new Set(leaks.map(({ name }) => name))]
}

function withoutDecoys(headers: Headers, decoys: LeakScanner | undefined): Headers {
  if (decoys === undefined) return headers
  const raw = Object.entries(headers).flatMap(([name, value]) =>
    [value].flat().flatMap((each) => [name, each]),
  )
  return fromServer(raw, decoys).headers
}

/** A redirect within the grant leads through the proxy again; others are the client's affair, who has no secret. */
function relocated(
  headers: Record<string, string | string[]>,
  { host, port, basePath, provider }: Plan,
): Record<string, string | string[]> {
  const { location } = headers
  const base = `https://${host}${port === 443 ? "" : `:${port}`}`
  if (typeof location !== "string" || !URL.canParse(location, base)) return headers
  const { origin, pathname, search } = new URL(location, base)
  if (origin !== new URL(base).origin || !pathname.startsWith(`${basePath}/`)) return headers
  return { ...headers, location: `/${provider}${pathname.slice(basePath.length)}${search}` }
}

async function bodyOf(client: IncomingMessage, most: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of client as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > most) throw new Fault("invalid", `the request has more than ${most} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
