/**
 * What the vault's process does for its egress proxy: decides about each request, writes it down, hands the value over, counts.
 * The proxy is a process of its own that this one starts: no other is answered.
 */
import { createHash, randomBytes } from "node:crypto"
import { Fault } from "../../clawfs/core/fault.ts"
import type { Subject } from "../audit.ts"
import type { EndpointText } from "../../schema/endpoint.ts"
import { allowsSubject, isFrozen, type GrantEntry, type Grants } from "../grants.ts"
import { baseOf, isListed, pathWithin } from "../proxy/base.ts"
import type { Plan, Wanted } from "../proxy/link.ts"
import type { Seen } from "./leak-guard.ts"
import { Rates } from "../rates.ts"
import type { Vault } from "../vault.ts"

const REQUEST_BYTES = 1_048_576
const RESPONSE_BYTES = 10_485_760
const TIMEOUT_MS = 30_000
const SHOWN_PATH = 256
const TOKENS_PER_USER = 16

export type Guard = (names: readonly string[], subject: Subject) => void

/** `LeakGuard`. */
export interface Decoys {
  decoysNow(): number
  eachDecoy(work: (name: string, value: Buffer) => void): void
  note(subject: Subject, seen: Seen): void
}

export class Injector {
  readonly #vault: Vault
  readonly #grants: Grants
  readonly #rates = new Rates()
  /** SHA-256 of a token → whose it is. */
  readonly #tokens = new Map<string, number>()

  readonly #guard: Guard
  readonly #decoys: Decoys

  /** `guard` is told which secret is about to be used, by whom; `decoys` knows what nobody should have. */
  constructor(vault: Vault, grants: Grants, decoys: Decoys, guard: Guard = () => undefined) {
    this.#vault = vault
    this.#grants = grants
    this.#decoys = decoys
    this.#guard = guard
  }

  /** A token for clients that can't be told by the kernel; good until the vault is locked. */
  newToken(uid: number): string {
    const own = [...this.#tokens].filter(([, each]) => each === uid)
    if (own.length >= TOKENS_PER_USER) this.#tokens.delete(own[0]?.[0] ?? "")
    const token = `clawfs-${randomBytes(24).toString("base64url")}`
    this.#tokens.set(digest(token), uid)
    return token
  }

  uidOf(token: string): number | undefined {
    return this.#tokens.get(digest(token))
  }

  /** How a request is to be forwarded. A refusal is a row of the audit, and throws `Fault("denied")`. */
  plan(wanted: Wanted): Plan {
    const first = this.#find(wanted)
    if (first !== undefined) this.#guard([this.#vault.nameOf(first.grant.secret) ?? ""], wanted.subject)
    const found = this.#find(wanted)
    if (found === undefined)
      return this.#vault.audited("inject", wanted.subject, (about) => {
        about.detail = shown(wanted)
        throw new Fault("denied", "no grant allows this")
      })
    const { grant, endpoint, path } = found
    const { host, port, path: basePath } = baseOf(endpoint)
    const { tls, limits } = endpoint
    return {
      ...{ grant: grant.id, provider: endpoint.provider_id, host, port, basePath, path },
      ...{ place: endpoint.place, networks: endpoint.addresses ?? [], ca: tls?.ca },
      minVersion: tls?.min_tls_version === "1.3" ? "TLSv1.3" : "TLSv1.2",
      requestBytes: limits?.request_bytes ?? REQUEST_BYTES,
      responseBytes: limits?.response_bytes ?? RESPONSE_BYTES,
      timeoutMs: limits?.timeout_ms ?? TIMEOUT_MS,
      decoys: this.#decoys.decoysNow(),
    }
  }

  #find(
    wanted: Wanted,
    id?: number,
  ): { grant: GrantEntry; endpoint: EndpointText; path: string } | undefined {
    const now = Date.now()
    const all = this.#grants.all(this.#vault.keys)
    if (isFrozen(all, wanted.subject)) return undefined
    for (const grant of all) {
      const { endpoint } = grant
      if (endpoint === undefined || (id !== undefined && grant.id !== id)) continue
      if (!allowsSubject(grant, "inject", wanted.subject, now)) continue
      const path = pathWithin(endpoint, wanted)
      if (path !== undefined && isListed(endpoint, wanted.method, path)) return { grant, endpoint, path }
    }
    return undefined
  }

  /** Takes a use of the grant, writes it down, and runs `work` with the value. `address`: where it will be sent. */
  use<T>(
    wanted: Wanted,
    { grant: id, address }: { readonly grant: number; readonly address: string },
    work: (value: Buffer, version: string) => T,
  ): T {
    const { subject } = wanted
    const detail = { grant: id, address, ...shown(wanted) }
    const found = this.#find(wanted, id)
    const name = found === undefined ? undefined : this.#vault.nameOf(found.grant.secret)
    if (found === undefined || name === undefined)
      return this.#vault.audited("inject", subject, (about) => {
        about.detail = detail
        throw new Fault("denied", "no grant allows this")
      })
    if (!this.#rates.take(id, found.endpoint.rate_limits ?? {}, Date.now())) {
      this.#vault.audited("inject-limited", subject, (about) => void (about.detail = detail), true)
      throw new Fault("busy", "too many requests with this grant")
    }
    const version = `${found.grant.secret}:${this.#vault.find(name)?.metadata.latest ?? 0}`
    return this.#vault.use(
      subject,
      "inject",
      { name, detail },
      (value) => work(value, version),
      () => this.#grants.spend(this.#vault.keys, id),
    )
  }

  /** The decoys, and the number that a plan has as long as they are these. */
  decoys(): { readonly number: number; readonly decoys: { name: string; value: string }[] } {
    const decoys: { name: string; value: string }[] = []
    this.#decoys.eachDecoy((name, value) => decoys.push({ name, value: value.toString("base64") }))
    return { number: this.#decoys.decoysNow(), decoys }
  }

  /** Somebody had decoys in a request, or got them in an answer. */
  tried({ subject }: Wanted, names: readonly string[], where: "request" | "answer"): void {
    const action = where === "request" ? "block" : "redact"
    this.#decoys.note(subject, { channel: `proxy ${where}`, action, count: names.length, names })
  }

  leaked({ subject }: Wanted, grant: number, count: number): void {
    this.#vault.audited("leak", subject, (about) => void (about.detail = { grant, count }))
  }
}

function digest(token: string): string {
  return createHash("sha256").update(token).digest("hex")
}

/** Of a request, for the audit; the query may have anything in it. */
function shown({ provider, host, method, path }: Wanted): Readonly<Record<string, unknown>> {
  const where = provider === undefined ? { host } : { provider }
  return { ...where, method, path: path.slice(0, SHOWN_PATH) }
}

/** Throws `Fault("invalid")` for an endpoint that can't be granted. */
export function checkEndpoint(endpoint: EndpointText): void {
  baseOf(endpoint)
}
