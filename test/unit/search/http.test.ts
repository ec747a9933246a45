/** The embedder behind an endpoint: patient with one that struggles, and not taken in by one that lies. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, describe, expect, test } from "vitest"
import { HttpEmbedder, type Clock } from "../../../clawfs/search/embed/http.ts"
import { keyFromFile } from "../../../clawfs/search/embed/key.ts"
import { embedderConfig, type HttpEmbedderConfig } from "../../../schema/search.ts"

const DIMENSIONS = 128

interface Asked {
  readonly path: string
  readonly authorization: string | undefined
  readonly body: { readonly model: string; readonly input: string[]; readonly dimensions?: number }
}

type Reply = (asked: Asked, response: ServerResponse, n: number) => void

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

/** A server on a port of its own, and what it was asked. */
async function serve(reply: Reply): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = []
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const one = {
      path: request.url ?? "",
      authorization: request.headers.authorization,
      body: JSON.parse(Buffer.concat(parts).toString()) as Asked["body"],
    }
    asked.push(one)
    reply(one, response, asked.length)
  }
  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  closers.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

/** A vector that depends on the text's length. */
const vectorOf = (text: string): number[] =>
  Array.from({ length: DIMENSIONS }, (_, i) => (i === 0 ? text.length : 1))

function json(
  response: ServerResponse,
  body: unknown,
  status = 200,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))
}

const honest: Reply = ({ body }, response) =>
  json(response, { data: body.input.map((text, index) => ({ index, embedding: vectorOf(text) })).reverse() })

function config(url: string, more: Partial<HttpEmbedderConfig> = {}): HttpEmbedderConfig {
  const parsed = embedderConfig.parse({
    provider: "http",
    api: "openai",
    url,
    model: "m",
    dimensions: DIMENSIONS,
    ...more,
  })
  return parsed as HttpEmbedderConfig
}

/** Sleeping takes no time, but is noted. */
class FakeClock implements Clock {
  readonly slept: number[] = []
  #now = 0
  now(): number {
    return this.#now
  }
  sleep(ms: number): Promise<void> {
    this.slept.push(Math.round(ms))
    this.#now += ms
    return Promise.resolve()
  }
  pass(ms: number): void {
    this.#now += ms
  }
}

test("texts go in batches with their prefix, and vectors come back in order", async () => {
  const { url, asked } = await serve(honest)
  const embedder = new HttpEmbedder(
    config(url, { batch: 2, documentPrefix: "passage: ", queryPrefix: "query: " }),
    undefined,
  )
  const vectors = await embedder.embedDocuments(["a", "bb", "ccc"])
  expect(vectors.map(([first]) => first)).toEqual([10, 11, 12])
  expect(asked.map(({ path, body }) => [path, body.model, body.input])).toEqual([
    ["/v1/embeddings", "m", ["passage: a", "passage: bb"]],
    ["/v1/embeddings", "m", ["passage: ccc"]],
  ])
  expect((await embedder.embedQuery("a"))?.[0]).toBe(8)
  expect(embedder.id).toMatch(/^openai:m:128:[0-9a-f]{8}$/)
  expect(embedder.state()).toEqual({ isReady: true, problem: "" })
})

test("Ollama's API too", async () => {
  const { url, asked } = await serve(({ body }, response) =>
    json(response, { embeddings: body.input.map(vectorOf) }),
  )
  const embedder = new HttpEmbedder(config(`${url}/`, { api: "ollama", requestDimensions: true }), undefined)
  expect((await embedder.embedDocuments(["a", "bb"])).map(([first]) => first)).toEqual([1, 2])
  expect(asked[0]).toMatchObject({ path: "/api/embed", body: { dimensions: DIMENSIONS } })
})

describe("an endpoint that lies", () => {
  const one =
    (embedding: unknown): Reply =>
    (_asked, response) =>
      json(response, { data: [{ index: 0, embedding }] })
  const good = vectorOf("x")
  test.each<[string, Reply, string]>([
    ["about dimensions", one(good.slice(1)), "gave 127 dimensions, configured are 128"],
    ["with zeros", one(good.map(() => 0)), "not finite or zero"],
    ["with nothing for numbers", one(good.map(() => null)), "no vectors in it"],
    ["with numbers beyond f32", one(good.map(() => 1e300)), "not finite or zero"],
    [
      "about the count",
      (_a, response) => json(response, { data: [0, 1].map((index) => ({ index, embedding: good })) }),
      "gave 2 vectors for 1 texts",
    ],
    [
      "with an index twice",
      (_a, response) => json(response, { data: [0, 0].map((index) => ({ index, embedding: good })) }),
      "no vectors in it",
    ],
    [
      "with HTML",
      (_a, response) => void response.writeHead(200, { "content-type": "text/html" }).end("<h1>Hello"),
      "answers with text/html instead of JSON",
    ],
    [
      "with half of a JSON",
      (_a, response) =>
        void response.writeHead(200, { "content-type": "application/json" }).end('{"data": ['),
      "is no JSON",
    ],
    [
      "with NaN in JSON",
      (_a, response) =>
        void response
          .writeHead(200, { "content-type": "application/json" })
          .end('{"data": [{"index": 0, "embedding": [NaN]}]}'),
      "is no JSON",
    ],
    [
      "without end",
      (_a, response) => {
        response.writeHead(200, { "content-type": "application/json" })
        const more = (): void => {
          if (!response.destroyed) response.write("[".repeat(100_000), () => setImmediate(more))
        }
        more()
      },
      "sends more than",
    ],
    [
      "slowly",
      (_a, response) => void response.writeHead(200, { "content-type": "application/json" }).write("{"),
      "no answer within 0.2 s",
    ],
    ["by going away", (_a, response) => void response.destroy(), "can't be reached"],
  ])("%s: one sentence", async (_what, reply, message) => {
    const { url } = await serve(reply)
    const embedder = new HttpEmbedder(config(url, { queryTimeoutSeconds: 0.2 }), undefined)
    await expect(embedder.embedQuery("x")).rejects.toThrow(message)
    expect(embedder.state().problem).toContain(message)
  })

  test("by sending us elsewhere, gets no key there", async () => {
    const elsewhere = await serve(honest)
    const { url, asked } = await serve(
      (_a, response) => void response.writeHead(307, { location: elsewhere.url }).end(),
    )
    const embedder = new HttpEmbedder(config(url), { read: () => Promise.resolve("secret") })
    await expect(embedder.embedQuery("x")).rejects.toThrow("sends us elsewhere, which is not followed")
    expect(asked.map(({ authorization }) => authorization)).toEqual(["Bearer secret"])
    expect(elsewhere.asked).toEqual([])
  })
})

describe("an endpoint that struggles", () => {
  test("is tried again after growing times, or when it says so", async () => {
    const { url, asked } = await serve((one, response, n) => {
      if (n === 1) json(response, { error: { message: "overloaded" } }, 503)
      else if (n === 2) json(response, {}, 429, { "retry-after": "7" })
      else honest(one, response, n)
    })
    const clock = new FakeClock()
    const embedder = new HttpEmbedder(config(url), undefined, clock)
    expect(await embedder.embedDocuments(["x"])).toHaveLength(1)
    expect(asked).toHaveLength(3)
    expect(clock.slept[0]).toBeGreaterThanOrEqual(500)
    expect(clock.slept[0]).toBeLessThan(1000)
    expect(clock.slept[1]).toBe(7000)
    expect(embedder.state()).toEqual({ isReady: true, problem: "" })
  })

  test("is left alone after three failures, visibly, and asked again later", async () => {
    let isDown = true
    const { url, asked } = await serve((one, response, n) =>
      isDown ? json(response, { error: "out of memory" }, 500) : honest(one, response, n),
    )
    const clock = new FakeClock()
    const embedder = new HttpEmbedder(config(url), undefined, clock)
    for (let i = 0; i < 3; i++)
      await expect(embedder.embedQuery("x")).rejects.toThrow("answers 500: out of memory")
    await expect(embedder.embedQuery("x")).rejects.toThrow(
      "answers 500: out of memory; it is tried again in 10 s",
    )
    expect(asked).toHaveLength(3)
    expect(embedder.state()).toEqual({
      isReady: false,
      problem: "the embedding endpoint answers 500: out of memory",
    })
    isDown = false
    clock.pass(10_001)
    expect(await embedder.embedQuery("x")).toBeDefined()
    expect(embedder.state()).toEqual({ isReady: true, problem: "" })
  })

  test("with a key that is refused is not asked twice", async () => {
    const { url, asked } = await serve((_a, response) =>
      json(response, { error: { message: "bad key" } }, 401),
    )
    await expect(
      new HttpEmbedder(config(url), undefined, new FakeClock()).embedDocuments(["x"]),
    ).rejects.toMatchObject({ kind: "denied" })
    expect(asked).toHaveLength(1)
  })

  test("with one text is asked for the others: it alone is invalid", async () => {
    const { url } = await serve((one, response, n) =>
      one.body.input.some((text) => text.length > 10)
        ? json(response, { error: "too long" }, 400)
        : honest(one, response, n),
    )
    const embedder = new HttpEmbedder(config(url), undefined, new FakeClock())
    expect(await embedder.embedDocuments(["a", "b", "c"])).toHaveLength(3)
    await expect(embedder.embedDocuments(["a", "b", "x".repeat(11), "c"])).rejects.toMatchObject({
      kind: "invalid",
    })
    expect(embedder.state().isReady).toBe(true)
  })

  test("gets no more requests a minute than it should", async () => {
    const { url } = await serve(honest)
    const clock = new FakeClock()
    const embedder = new HttpEmbedder(config(url, { batch: 1, requestsPerMinute: 60 }), undefined, clock)
    await embedder.embedDocuments(["a", "b", "c"])
    expect(clock.slept).toEqual([1000, 1000])
  })

  test("can be given up at any time", async () => {
    const { url } = await serve(() => undefined)
    const embedder = new HttpEmbedder(config(url), undefined)
    const giveUp = new AbortController()
    const asked = embedder.embedDocuments(["x"], giveUp.signal)
    setTimeout(() => giveUp.abort(new Error("enough")), 50)
    await expect(asked).rejects.toThrow("enough")
    const closed = embedder.embedDocuments(["x"])
    await embedder.close()
    await expect(closed).rejects.toThrow("the embedder was closed")
    expect(embedder.state().isReady).toBe(true)
  })
})

describe("a key", () => {
  const directory = (): string => {
    const made = mkdtempSync(join(tmpdir(), "clawfs-key-"))
    closers.push(() => rmSync(made, { recursive: true }))
    return made
  }

  test("is read from a file that is the user's alone", async () => {
    const path = join(directory(), "key")
    writeFileSync(path, "sk-123\n", { mode: 0o600 })
    expect(await keyFromFile(path).read()).toBe("sk-123")
    chmodSync(path, 0o640)
    await expect(keyFromFile(path).read()).rejects.toMatchObject({
      kind: "denied",
      hint: `chmod 600 ${path}`,
    })
  })

  test.each(["", "two words", "a\u0000b", "x".repeat(9000)])("%j is none", async (text) => {
    const path = join(directory(), "key")
    writeFileSync(path, text, { mode: 0o600 })
    await expect(keyFromFile(path).read()).rejects.toThrow("has no key in it")
  })

  test("that can't be read is said, without a request", async () => {
    const { url, asked } = await serve(honest)
    const embedder = new HttpEmbedder(config(url), keyFromFile("/nowhere/key"), new FakeClock())
    await expect(embedder.embedQuery("x")).rejects.toThrow("the key file /nowhere/key can't be read")
    expect(asked).toEqual([])
  })

  test("never goes over the network in the clear, nor stands in an address", () => {
    const make = (url: string) => () => new HttpEmbedder(config(url, { keyFile: "/k" }), keyFromFile("/k"))
    expect(make("http://example.org")).toThrow("unencrypted")
    expect(make("http://127.0.0.1.example.org")).toThrow("unencrypted")
    expect(make("https://user:pass@example.org")).toThrow("user name in it")
    expect(make("http://localhost:11434")).not.toThrow()
    expect(() => config("file:///etc/passwd")).toThrow()
  })
})
