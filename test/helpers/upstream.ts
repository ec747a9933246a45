/** A server by TLS, with a certificate of its own making, that notes what it is asked and answers as it is told. */
import { spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer, type Server, type ServerOptions } from "node:https"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface Noted {
  readonly method: string
  readonly url: string
  readonly raw: readonly string[]
  readonly headers: IncomingMessage["headers"]
  readonly body: string
}

export type Answerer = (request: Noted, response: ServerResponse) => void

let certificate: { key: string; cert: string } | undefined

/** For api.test and 127.0.0.1. */
export function testCertificate(): { readonly key: string; readonly cert: string } {
  if (certificate !== undefined) return certificate
  const directory = mkdtempSync(join(tmpdir(), "clawfs-tls-"))
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")]
  const { status, stderr } = spawnSync("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"],
    ...["-subj", "/CN=api.test", "-addext", "subjectAltName=DNS:api.test,IP:127.0.0.1"],
    ...["-keyout", key, "-out", cert],
  ])
  if (status !== 0) throw new Error(stderr.toString())
  certificate = { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") }
  rmSync(directory, { recursive: true })
  return certificate
}

export class Upstream implements AsyncDisposable {
  readonly requests: Noted[] = []
  connections = 0
  readonly #server: Server
  answer: Answerer = (_request, response) => response.end("ok")

  private constructor(options: ServerOptions) {
    this.#server = createServer({ ...testCertificate(), ...options }, (request, response) => {
      const chunks: Buffer[] = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        const noted: Noted = {
          ...{ method: request.method ?? "", url: request.url ?? "", raw: request.rawHeaders },
          ...{ headers: request.headers, body: Buffer.concat(chunks).toString() },
        }
        this.requests.push(noted)
        this.answer(noted, response)
      })
    })
    this.#server.on("connection", () => (this.connections += 1))
    // Clients that don't trust it are what some tests are about.
    this.#server.on("tlsClientError", () => undefined)
  }

  static async start(options: ServerOptions = {}): Promise<Upstream> {
    const upstream = new Upstream(options)
    upstream.#server.listen(0, "127.0.0.1")
    await once(upstream.#server, "listening")
    return upstream
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, "close")
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }
}
