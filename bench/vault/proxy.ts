/** What the egress proxy adds to a request: kept connections on both sides, to a server by TLS on the loopback. */
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { readFileSync, writeFileSync } from "node:fs"
import { Agent, request as plainRequest, type ClientRequest, type IncomingMessage } from "node:http"
import { Agent as TlsAgent, createServer, request as tlsRequest, type Server } from "node:https"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { run } from "../command.ts"
import { clawfsCli } from "../paths.ts"
import { median, quantile, type Row } from "../rows.ts"

const WARM_UP = 200
const ROUNDS = 1000
const ANSWER = randomBytes(512).toString("hex")

async function certificate(work: string): Promise<{ key: string; cert: string }> {
  const [key, cert] = [join(work, "key.pem"), join(work, "cert.pem")]
  await run([
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-days", "2", "-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1"],
    ...["-keyout", key, "-out", cert],
  ])
  return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") }
}

async function timed(ask: () => ClientRequest): Promise<number> {
  const start = performance.now()
  const sent = ask()
  sent.end()
  const [answer] = (await once(sent, "response")) as [IncomingMessage]
  answer.resume()
  await once(answer, "end")
  if (answer.statusCode !== 200) throw new Error(`the answer is ${String(answer.statusCode)}`)
  return performance.now() - start
}

export async function* proxy(work: string): AsyncGenerator<Row> {
  const [directory, passphrase] = [join(work, "proxy-vault"), join(work, "proxy-passphrase")]
  writeFileSync(passphrase, "a passphrase of the benchmark\n", { mode: 0o600 })
  const given = ["--passphrase-file", passphrase, "--vault", directory]
  const clawfs = (...args: string[]) => run([process.execPath, clawfsCli, "vault", ...args])
  const { key, cert } = await certificate(work)
  const server: Server = createServer({ key, cert }, (_, response) => response.end(ANSWER))
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  await clawfs("init", "--no-tpm", "--kdf", "pbkdf2", ...given)
  await clawfs("unlock", ...given)
  try {
    const [value, endpoint] = [join(work, "value"), join(work, "endpoint.json")]
    writeFileSync(value, randomBytes(20).toString("hex"))
    writeFileSync(
      endpoint,
      JSON.stringify({
        ...{ provider_id: "api", base_url: `https://127.0.0.1:${port}/v1` },
        ...{ endpoints: [{ method: "GET", path: "/models" }], place: { header: "Authorization" } },
        ...{ addresses: ["127.0.0.0/8"], tls: { ca: cert } },
      }),
    )
    await run(
      [
        ...["sh", "-c", 'exec "$0" "$@" <"$VALUE"', process.execPath, clawfsCli],
        ...["vault", "put", "api-key", "--vault", directory],
      ],
      { env: { ...process.env, VALUE: value } },
    )
    await clawfs("grant", "api-key", "--verb", "inject", "--endpoint", endpoint, ...given)
    await clawfs("proxy", "start", "--vault", directory)
    const [agent, tls] = [new Agent({ keepAlive: true }), new TlsAgent({ keepAlive: true, ca: cert })]
    const direct = () => tlsRequest({ host: "127.0.0.1", port, path: "/v1/models", agent: tls })
    const proxied = () =>
      plainRequest({ socketPath: join(directory, "proxy.sock"), path: "/api/models", agent })
    const [near, far]: [number[], number[]] = [[], []]
    for (let at = 0; at < WARM_UP + ROUNDS; at += 1) {
      const [one, two] = [await timed(direct), await timed(proxied)]
      if (at < WARM_UP) continue
      near.push(one)
      far.push(two)
    }
    agent.destroy()
    tls.destroy()
    yield {
      name: "proxy.direct p50",
      value: median(near),
      unit: "ms",
      note: "TLS, the same connection again",
    }
    yield { name: "proxy.adds p50", value: median(far) - median(near), unit: "ms", atMost: 1 }
    yield { name: "proxy.adds p99", value: quantile(far, 0.99) - quantile(near, 0.99), unit: "ms" }
  } finally {
    await clawfs("lock", "--vault", directory)
    server.close()
    server.closeAllConnections()
  }
}
