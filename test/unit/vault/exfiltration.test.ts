/** What servers may do with a secret that the proxy has sent them, and clients with the proxy: nothing comes back. */
import { beforeEach, describe, expect, test } from "vitest"
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib"
import { requirePrograms, skipIf } from "../../helpers/requirements.ts"
import type { Answerer } from "../../helpers/upstream.ts"
import { TestProxy } from "../../helpers/vault-proxy.ts"

const VALUE = 'sk-test-4f3e2d1c0b/9a"8877+x='
beforeEach((context) => skipIf(context, requirePrograms("openssl")))

const percent = (text: string): string => encodeURIComponent(text)
const FORMS: Readonly<Record<string, string>> = {
  raw: VALUE,
  base64: Buffer.from(VALUE).toString("base64"),
  "base64 of the header": Buffer.from(`Bearer ${VALUE}`).toString("base64"),
  base64url: Buffer.from(`x${VALUE}`).toString("base64url"),
  hex: Buffer.from(VALUE).toString("hex"),
  HEX: Buffer.from(VALUE).toString("hex").toUpperCase(),
  URL: percent(VALUE),
  JSON: JSON.stringify({ headers: { authorization: `Bearer ${VALUE}` } }),
  reversed: [...VALUE].reverse().join(""),
}
/** None of the forms is in what the client gets, in whichever piece. */
function expectNone(text: string): void {
  for (const form of [VALUE, ...Object.values(FORMS).filter((each) => !each.startsWith("{"))])
    expect(text).not.toContain(form)
}

const ENCODINGS: Readonly<Record<string, (text: string) => Buffer>> = {
  identity: (text) => Buffer.from(text),
  gzip: gzipSync,
  deflate: deflateSync,
  br: brotliCompressSync,
}

describe.each(Object.entries(FORMS))("a server that echoes it: %s", (_name, form) => {
  test.each(Object.keys(ENCODINGS))("in its body, encoded as %s", async (encoding) => {
    await using proxy = await TestProxy.start()
    proxy.allow(VALUE)
    proxy.upstream.answer = (_request, response) => {
      response.setHeader("Content-Encoding", encoding)
      response.end(ENCODINGS[encoding]?.(`before ${form} after`))
    }
    const answer = await proxy.ask("/api/a")
    expectNone(answer.body)
    expect(answer.body).toMatch(/^before .*\[secret api\].* after$/s)
    expect(answer.headers).not.toHaveProperty("content-encoding")
    expect(proxy.rows("leak")).toHaveLength(1)
  })
})

test("in pieces, each sent by itself, of one byte and more", async () => {
  await using proxy = await TestProxy.start()
  proxy.allow(VALUE)
  for (const size of [1, 5, 11]) {
    proxy.upstream.answer = (_request, response) => {
      const text = `data: ${VALUE}\n\n`
      let at = 0
      const next = (): void => {
        if (at >= text.length) response.end()
        else response.write(text.slice(at, (at += size)), () => setImmediate(next))
      }
      next()
    }
    expect((await proxy.ask("/api/a")).body).toBe("data: [secret api]\n\n")
  }
})

test("in headers, their names, cookies and redirects", async () => {
  await using proxy = await TestProxy.start()
  const plain = "sk-test-4f3e2d1c0b9a8877"
  proxy.allow(plain)
  const answers: Answerer[] = [
    (_request, response) =>
      response.writeHead(200, { "X-Echo": `a ${plain} b`, "Set-Cookie": "session=1" }).end(),
    (_request, response) => response.writeHead(200, { [`X-${plain}`]: "1" }).end(),
    (_request, response) => response.writeHead(302, { Location: `https://evil.test/?k=${plain}` }).end(),
    (_request, response) => response.writeHead(200, `OK ${plain}`).end(),
    (_request, response) =>
      response.writeHead(401, { "WWW-Authenticate": `Bearer realm="${plain}"` }).end(plain),
    (_request, response) => {
      response.writeHead(200, { Trailer: "X-Echo" })
      response.addTrailers({ "X-Echo": plain })
      response.end()
    },
  ]
  const seen: string[] = []
  for (const answer of answers) {
    proxy.upstream.answer = answer
    const { status, headers, body } = await proxy.ask("/api/a")
    seen.push(JSON.stringify({ status, headers, body }))
  }
  for (const text of seen) expect(text.toLowerCase()).not.toContain(plain)
  expect(seen[0]).toContain("a [secret api] b")
  expect(seen[0]).not.toContain("session")
  expect(seen[2]).toContain("https://evil.test/?k=[secret api]")
  expect(proxy.rows("leak")).toHaveLength(4)
})

test("redirects are not followed; within the grant they lead through the proxy", async () => {
  await using proxy = await TestProxy.start()
  proxy.allow("sk-test-4f3e2d1c0b9a8877")
  const base = `https://api.test:${proxy.upstream.port}`
  for (const [location, told] of [
    [`${base}/v1/next?x=1`, "/api/next?x=1"],
    ["/v1/next", "/api/next"],
    [`${base}/other`, `${base}/other`],
    ["https://evil.test/v1/x", "https://evil.test/v1/x"],
    ["http://169.254.169.254/", "http://169.254.169.254/"],
  ] as const) {
    proxy.upstream.answer = (_request, response) => response.writeHead(307, { Location: location }).end()
    const before = proxy.upstream.requests.length
    const { status, headers } = await proxy.ask("/api/a", { method: "POST", body: "x" })
    expect([status, headers.location]).toEqual([307, told])
    expect(proxy.upstream.requests).toHaveLength(before + 1)
  }
})

test("what can't be looked into is not passed on", async () => {
  await using proxy = await TestProxy.start()
  proxy.allow(VALUE)
  for (const [encoding, bytes] of [
    ["zstd", Buffer.from(VALUE)],
    ["gzip, gzip", gzipSync(gzipSync(VALUE))],
    ["compress", Buffer.from(VALUE)],
    ["x-own", Buffer.from(VALUE)],
    // It says one and is another.
    ["gzip", Buffer.from(VALUE)],
    ["br", gzipSync(VALUE)],
  ] as const) {
    proxy.upstream.answer = (_request, response) =>
      response.writeHead(200, { "Content-Encoding": encoding }).end(bytes)
    const answer = await proxy.ask("/api/a").catch(() => ({ status: 0, body: "", isCut: true }))
    expectNone(answer.body)
    expect(answer.status === 502 || answer.isCut, encoding).toBe(true)
  }
})

test("sizes and times have limits", async () => {
  await using proxy = await TestProxy.start()
  proxy.allow(VALUE, { limits: { request_bytes: 100, response_bytes: 1000, timeout_ms: 1000 } })
  expect((await proxy.ask("/api/a", { method: "POST", body: "x".repeat(101) })).status).toBe(400)
  expect(proxy.upstream.requests).toHaveLength(0)
  expect((await proxy.ask("/api/a", { method: "POST", body: "x".repeat(100) })).status).toBe(200)
  proxy.upstream.answer = (_request, response) => response.end("y".repeat(1001))
  expect((await proxy.ask("/api/a")).isCut).toBe(true)
  // A bomb: what it becomes is counted.
  proxy.upstream.answer = (_request, response) =>
    response.writeHead(200, { "Content-Encoding": "gzip" }).end(gzipSync("z".repeat(1_000_000)))
  const bomb = await proxy.ask("/api/a").catch(() => ({ body: "", isCut: true }))
  expect([bomb.isCut, bomb.body.length <= 1000]).toEqual([true, true])
  proxy.upstream.answer = () => undefined
  expect((await proxy.ask("/api/a")).status).toBe(504)
})

describe("requests that are framed in more than one way", () => {
  const HOST = "Host: vault\r\n"
  test.each<[string, string]>([
    ["two lengths", `POST /api/a HTTP/1.1\r\n${HOST}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`],
    [
      "two lengths that are the same",
      `POST /api/a HTTP/1.1\r\n${HOST}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`,
    ],
    [
      "length and chunks",
      `POST /api/a HTTP/1.1\r\n${HOST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      "chunks and length",
      `POST /api/a HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n`,
    ],
    [
      "chunks that are not the last encoding",
      `POST /api/a HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`,
    ],
    ["an unknown encoding", `POST /api/a HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
    ["a length with a sign", `POST /api/a HTTP/1.1\r\n${HOST}Content-Length: +3\r\n\r\nabc`],
    ["a length that is no number", `POST /api/a HTTP/1.1\r\n${HOST}Content-Length: 3x\r\n\r\nabc`],
    [
      "a chunk's length that is none",
      `POST /api/a HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n`,
    ],
    ["a space before the colon", `POST /api/a HTTP/1.1\r\n${HOST}Content-Length : 3\r\n\r\nabc`],
    ["a folded header", `GET /api/a HTTP/1.1\r\n${HOST}X-A: b\r\n c\r\n\r\n`],
    ["a bare line feed", `GET /api/a HTTP/1.1\n${HOST}X-A: b\nX-B: c\n\n`],
    ["a bare carriage return in a header", `GET /api/a HTTP/1.1\r\n${HOST}X-A: b\rX-B: c\r\n\r\n`],
    ["a NUL in a header", `GET /api/a HTTP/1.1\r\n${HOST}X-A: b\0c\r\n\r\n`],
    ["no host", "GET /api/a HTTP/1.1\r\n\r\n"],
    ["two hosts", `GET /api/a HTTP/1.1\r\n${HOST}Host: other\r\n\r\n`],
    [
      "two content types",
      `POST /api/a HTTP/1.1\r\n${HOST}Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 0\r\n\r\n`,
    ],
    ["a body where there is none", `GET /api/a HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`],
    ["an upgrade", `GET /api/a HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`],
    ["a header that is too long", `GET /api/a HTTP/1.1\r\n${HOST}X-A: ${"b".repeat(20_000)}\r\n\r\n`],
    ["another version", `GET /api/a HTTP/2.0\r\n${HOST}\r\n`],
    ["a space in the path", `GET /api/a /b HTTP/1.1\r\n${HOST}\r\n`],
  ])("%s: refused, nothing is sent", async (_name, bytes) => {
    await using proxy = await TestProxy.start()
    proxy.allow(VALUE)
    const answer = await proxy.raw(bytes)
    expect(answer === "" || /^HTTP\/1\.1 4\d\d /.test(answer), answer).toBe(true)
    expect(proxy.upstream.requests).toEqual([])
  })

  test("a request behind another is a request of its own, and is decided about", async () => {
    await using proxy = await TestProxy.start()
    proxy.allow(VALUE, { endpoints: [{ method: "POST", path: "/a" }] })
    const smuggled = `GET /api/secret HTTP/1.1\r\n${HOST}\r\n`
    const answer = await proxy.raw(`POST /api/a HTTP/1.1\r\n${HOST}Content-Length: 1\r\n\r\nx${smuggled}`)
    expect(answer.match(/HTTP\/1\.1 (\d+)/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 403"])
    expect(proxy.upstream.requests.map(({ url }) => url)).toEqual(["/v1/a"])
  })
})
