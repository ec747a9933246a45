/** The egress proxy in this process, over a vault of its own, before a server of the test. */
import { once } from "node:events"
import { request, type IncomingHttpHeaders } from "node:http"
import { connect } from "node:net"
import { join } from "node:path"
import { Log } from "../../clawfs/core/log.ts"
import type { EndpointText } from "../../schema/endpoint.ts"
import { Grants } from "../../vault/grants.ts"
import type { VaultLink } from "../../vault/proxy/link.ts"
import { ProxyServer } from "../../vault/proxy/server.ts"
import { LeakGuard } from "../../vault/service/leak-guard.ts"
import { scannerOf } from "../../vault/proxy/decoys.ts"
import { Injector } from "../../vault/service/inject.ts"
import { OWNER, TestMethods } from "./vault-methods.ts"
import { Upstream, testCertificate } from "./upstream.ts"

export interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  /** Through the loopback's port. */
  readonly port?: number
}

export interface Answered {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** It was cut off. */
  readonly isCut: boolean
}

export interface AuditRow {
  readonly event: string
  readonly outcome: string
  readonly subject: { readonly uid: number }
  readonly detail: Readonly<Record<string, unknown>>
}

export class TestProxy implements AsyncDisposable {
  readonly vault = new TestMethods()
  readonly upstream: Upstream
  readonly injector: Injector
  readonly #server: ProxyServer
  readonly socket: string
  /** What names lead to. */
  addresses: string[] = ["127.0.0.1"]
  resolved = 0
  /** Called before each value is handed over. */
  beforeUse: () => void = () => undefined

  private constructor(upstream: Upstream) {
    this.upstream = upstream
    const grants = new Grants(this.vault.db)
    const { vault } = this.vault
    const leaks = new LeakGuard(vault, (uid, canary) => grants.freeze(vault.keys, uid, canary))
    const injector = new Injector(vault, grants, leaks)
    this.injector = injector
    this.socket = join(this.vault.place.directory, "proxy.sock")
    const link: VaultLink = {
      uidOf: (token) => injector.uidOf(token),
      asksInFull: () => false,
      plan: (wanted) => injector.plan(wanted),
      use: (wanted, grant, address) => {
        this.beforeUse()
        return injector.use(wanted, { grant, address }, (value, version) => ({
          value: Buffer.from(value),
          version,
        }))
      },
      decoys: (number) => (number === 0 ? undefined : scannerOf(injector.decoys().decoys)),
      tried: (wanted, names, where) => injector.tried(wanted, names, where),
      leaked: (wanted, grant, count) => injector.leaked(wanted, grant, count),
    }
    const resolve = (): Promise<string[]> => {
      this.resolved += 1
      return Promise.resolve(this.addresses)
    }
    this.#server = new ProxyServer({ link, resolve, log: new Log("test") })
  }

  static async start(upstream?: Upstream): Promise<TestProxy> {
    const proxy = new TestProxy(upstream ?? (await Upstream.start()))
    await proxy.#server.listenOnSocket(proxy.socket)
    return proxy
  }

  listenOnLoopback(): Promise<number> {
    return this.#server.listenOnLoopback(0)
  }

  endpoint(more: Partial<EndpointText> = {}): EndpointText {
    return {
      ...{ provider_id: "api", base_url: `https://api.test:${this.upstream.port}/v1` },
      endpoints: ["GET", "POST", "HEAD"].map((method) => ({ method: method as "GET", path: "/**" })),
      place: { header: "Authorization", format: "Bearer {}" },
      ...{ addresses: ["127.0.0.0/8"], tls: { ca: testCertificate().cert } },
      ...more,
    }
  }

  /** Stores a secret and allows everybody to have it sent; returns the grant's number. */
  allow(value: string, more: Partial<EndpointText> = {}, limits: object = {}): number {
    this.vault.put("key", value)
    return this.vault.grant("key", "inject", { endpoint: this.endpoint(more), ...limits })
  }

  async ask(path: string, { method = "GET", headers = {}, body, port }: Asked = {}): Promise<Answered> {
    const where = port === undefined ? { socketPath: this.socket } : { host: "127.0.0.1", port }
    const sent = request({ ...where, path, method, headers, agent: false })
    sent.end(body)
    const [answer] = (await once(sent, "response")) as [import("node:http").IncomingMessage]
    const chunks: Buffer[] = []
    let isCut = false
    try {
      for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk)
    } catch {
      // Told to the test.
      isCut = true
    }
    const text = Buffer.concat(chunks).toString("latin1")
    return { status: answer.statusCode ?? 0, headers: answer.headers, body: text, isCut }
  }

  /** Bytes as they are; what comes back until the end. */
  async raw(bytes: string): Promise<string> {
    const socket = connect(this.socket)
    const chunks: Buffer[] = []
    socket.on("data", (chunk: Buffer) => chunks.push(chunk))
    socket.on("error", () => socket.destroy())
    socket.write(bytes, "latin1")
    const late = setTimeout(() => socket.destroy(), 1500)
    await once(socket, "close")
    clearTimeout(late)
    return Buffer.concat(chunks).toString("latin1")
  }

  rows(event = "inject"): AuditRow[] {
    return (this.vault.call(OWNER, "audit", {}) as AuditRow[]).filter((row) => row.event === event)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close()
    await this.upstream[Symbol.asyncDispose]()
    this.vault[Symbol.dispose]()
  }
}
