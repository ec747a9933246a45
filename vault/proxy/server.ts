/**
 * Where clients of the proxy connect: a unix socket, whose other end the kernel tells, or a port of the loopback, with a token.
 * They speak HTTP/1.1 without TLS, to /PROVIDER/PATH, or to http://HOST/PATH as to any proxy. Node's parser refuses what is framed
 * in two ways.
 */
import { chmodSync, rmSync } from "node:fs"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { closeSync } from "node:fs"
import { once } from "node:events"
import { describe, Fault } from "../../clawfs/core/fault.ts"
import type { Log } from "../../clawfs/core/log.ts"
import { peerOf, type Peer } from "../../clawfs/sys/seqpacket.ts"
import type { Subject } from "../audit.ts"
import { subjectOf } from "../service/caller.ts"
import { Forwarder, statusOf, type Resolve } from "./forward.ts"
import type { VaultLink } from "./link.ts"

const MOST_CONNECTIONS = 256
const MOST_IN_FLIGHT = 64
const HEADERS_MS = 10_000
const REQUEST_MS = 30_000
const MOST_HEADER_BYTES = 16_384
const LOOPBACK = "127.0.0.1"
/** Where programs put a key, and so the token that stands for it. */
const TOKEN_HEADERS = ["proxy-authorization", "authorization", "x-api-key", "api-key", "x-goog-api-key"]

export interface ProxyOptions {
  readonly link: VaultLink
  readonly resolve: Resolve
  readonly log: Log
}

/** Who asks, and which headers had the token. */
interface Caller {
  readonly subject: Subject
  readonly tokenHeaders: readonly string[]
}

type Identify = (request: IncomingMessage) => Caller

export class ProxyServer {
  readonly #options: ProxyOptions
  readonly #forwarder: Forwarder
  readonly #servers: Server[] = []
  readonly #paths: string[] = []
  readonly #peers = new Map<Socket, Peer>()
  #inFlight = 0

  constructor(options: ProxyOptions) {
    this.#options = options
    this.#forwarder = new Forwarder(options.link, options.resolve)
  }

  /** Everybody may connect; what is forwarded is decided by who does. */
  async listenOnSocket(path: string): Promise<void> {
    const server = this.#serverFor((request) => this.#byPeer(request))
    server.on("connection", (socket: Socket) => this.#notePeer(socket))
    rmSync(path, { force: true })
    server.listen(path)
    await once(server, "listening")
    chmodSync(path, 0o666)
    this.#paths.push(path)
  }

  /** Returns the port; 0 takes any. */
  async listenOnLoopback(port: number): Promise<number> {
    const server = this.#serverFor((request) => this.#byToken(request))
    server.listen(port, LOOPBACK)
    await once(server, "listening")
    return (server.address() as AddressInfo).port
  }

  #serverFor(identify: Identify): Server {
    const server = createServer(
      {
        ...{ maxHeaderSize: MOST_HEADER_BYTES, insecureHTTPParser: false, requireHostHeader: true },
        ...{ headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS, connectionsCheckingInterval: 5000 },
      },
      (request, response) => void this.#serve(request, response, identify),
    )
    server.maxConnections = MOST_CONNECTIONS
    server.on("connect", (_request, socket) =>
      socket.end(
        "HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n" +
          "this proxy puts secrets into requests, so it must see them: send them to /PROVIDER/PATH without TLS\n",
      ),
    )
    this.#servers.push(server)
    return server
  }

  /** While the connection is new: who connected stays the same, its program may not. */
  #notePeer(socket: Socket): void {
    const { fd = -1 } = (socket as unknown as { _handle?: { fd?: number } })._handle ?? {}
    if (fd < 0) {
      socket.destroy()
      return
    }
    const peer = peerOf(fd)
    this.#peers.set(socket, peer)
    socket.on("close", () => {
      this.#peers.delete(socket)
      if (peer.pidfd !== undefined) closeSync(peer.pidfd)
    })
  }

  #byPeer({ socket }: IncomingMessage): Caller {
    const peer = this.#peers.get(socket)
    if (peer === undefined) throw new Fault("denied", "who asks is not known")
    return { subject: subjectOf(peer, { inFull: this.#options.link.asksInFull() }), tokenHeaders: [] }
  }

  #byToken({ headers }: IncomingMessage): Caller {
    // A page in a browser can have its own name lead here.
    const [host = ""] = (headers.host ?? "").split(":")
    const found = TOKEN_HEADERS.flatMap((name) => {
      const uid = this.#options.link.uidOf(tokenIn(headers[name]))
      return uid === undefined ? [] : [{ name, uid }]
    })
    const [first] = found
    const isLocal = host === LOOPBACK || host === "localhost" || headers["proxy-authorization"] !== undefined
    if (first === undefined || !isLocal) throw new Fault("denied", "the request has no token of this proxy")
    return { subject: { uid: first.uid, pid: 0 }, tokenHeaders: found.map(({ name }) => name) }
  }

  async #serve(request: IncomingMessage, response: ServerResponse, identify: Identify): Promise<void> {
    // What fails is told below, or there is nobody to be told any more.
    request.on("error", () => request.destroy())
    response.on("error", () => response.destroy())
    this.#inFlight += 1
    try {
      if (request.httpVersion !== "1.1") throw new Fault("invalid", "the proxy speaks HTTP/1.1")
      if (request.headers.upgrade !== undefined) throw new Fault("invalid", "the proxy does not upgrade")
      if (this.#inFlight > MOST_IN_FLIGHT) throw new Fault("locked", "too many requests at a time")
      const { subject, tokenHeaders } = identify(request)
      await this.#forwarder.forward(request, response, subject, tokenHeaders)
    } catch (thrown) {
      this.#fail(request, response, thrown)
    } finally {
      this.#inFlight -= 1
    }
  }

  #fail(request: IncomingMessage, response: ServerResponse, thrown: unknown): void {
    if (!(thrown instanceof Fault)) this.#options.log.debug("request failed", { reason: describe(thrown) })
    if (response.headersSent) {
      // Cut off, so that nobody takes it for the whole answer.
      response.destroy()
      return
    }
    const message = thrown instanceof Fault ? thrown.message : "the server's answer can't be passed on"
    const body = `${JSON.stringify({ error: { message } })}\n`
    const status = statusOf(thrown)
    response.writeHead(status, {
      ...{
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
        connection: "close",
      },
      ...(status === 429 ? { "retry-after": "60" } : {}),
    })
    response.end(body)
    // The rest of a request that was too long is not read.
    request.resume()
  }

  async close(): Promise<void> {
    this.#forwarder.close()
    const closed = this.#servers.map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => resolve())
          server.closeAllConnections()
        }),
    )
    await Promise.all(closed)
    for (const path of this.#paths) rmSync(path, { force: true })
  }
}

/** The token in a header: all of it, what follows Bearer, or the password of Basic. */
function tokenIn(header: string | string[] | undefined): string {
  if (typeof header !== "string") return ""
  const [, scheme = "", rest = ""] = /^(bearer|basic) +(\S+)$/i.exec(header) ?? []
  if (scheme === "") return header
  if (scheme.toLowerCase() === "bearer") return rest
  return Buffer.from(rest, "base64").toString("latin1").split(":").slice(1).join(":")
}
