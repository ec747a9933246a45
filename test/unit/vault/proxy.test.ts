/** The egress proxy: where a secret is put, what is forwarded, and what is refused before anything is sent. */
import { beforeEach, describe, expect, test } from "vitest"
import { requirePrograms, skipIf } from "../../helpers/requirements.ts"
import { Upstream } from "../../helpers/upstream.ts"
import { OWNER } from "../../helpers/vault-methods.ts"
import { TestProxy } from "../../helpers/vault-proxy.ts"

const VALUE = "sk-test-4f3e2d1c0b9a8877"
beforeEach((context) => skipIf(context, requirePrograms("openssl")))

describe("the secret", () => {
  test("is put into a header, and what the client had there is not sent", async () => {
    await using proxy = await TestProxy.start()
    proxy.allow(VALUE)
    const headers = {
      Authorization: "Bearer mine",
      "X-Extra": "1",
      "Proxy-Authorization": "x",
      Connection: "x-hop, close",
    }
    const answer = await proxy.ask("/api/models?limit=2", {
      headers: { ...headers, "X-Hop": "1", "X-Original-URL": "/other" },
    })
    expect([answer.status, answer.body]).toEqual([200, "ok"])
    const [request] = proxy.upstream.requests
    expect([request?.method, request?.url]).toEqual(["GET", "/v1/models?limit=2"])
    expect(request?.headers).toMatchObject({
      ...{ authorization: `Bearer ${VALUE}`, "x-extra": "1", host: `api.test:${proxy.upstream.port}` },
      "accept-encoding": "identity",
    })
    for (const name of ["x-hop", "x-original-url", "proxy-authorization"])
      expect(request?.headers).not.toHaveProperty(name)
    const [row] = proxy.rows()
    expect(row).toMatchObject({ outcome: "done", subject: { uid: process.getuid?.() } })
    expect(row?.detail).toEqual({
      grant: 1,
      address: "127.0.0.1",
      provider: "api",
      method: "GET",
      path: "/models",
    })
  })

  test.each([
    ["as a user's password", { basic: "me" }, {}, `Basic ${Buffer.from(`me:${VALUE}`).toString("base64")}`],
    ["in another header", { header: "x-api-key" }, {}, VALUE],
  ] as const)("%s", async (_name, place, more, written) => {
    await using proxy = await TestProxy.start()
    proxy.allow(`${VALUE}\n`, { place, ...more })
    expect((await proxy.ask("/api/models")).status).toBe(200)
    expect(proxy.upstream.requests[0]?.headers["header" in place ? place.header : "authorization"]).toBe(
      written,
    )
  })

  test("in a parameter of the query", async () => {
    await using proxy = await TestProxy.start()
    proxy.allow("a&b=c d", { place: { query: "key" } })
    await proxy.ask("/api/a?x=1")
    await proxy.ask("/api/a")
    expect(proxy.upstream.requests.map(({ url }) => url)).toEqual([
      "/v1/a?x=1&key=a%26b%3Dc%20d",
      "/v1/a?key=a%26b%3Dc%20d",
    ])
    for (const query of ["key=1", "x&KEY=1", "k%65y=1", "a;key=2", "x=1&key"])
      expect((await proxy.ask(`/api/a?${query}`)).status, query).toBe(400)
    expect(proxy.upstream.requests).toHaveLength(2)
  })

  test("in a form", async () => {
    await using proxy = await TestProxy.start()
    proxy.allow(VALUE, { place: { form: "client_secret" } })
    const headers = { "content-type": "application/x-www-form-urlencoded" }
    const body = "grant_type=client_credentials"
    await proxy.ask("/api/token", { method: "POST", headers, body })
    expect(proxy.upstream.requests[0]).toMatchObject({ body: `${body}&client_secret=${VALUE}` })
    expect(
      (await proxy.ask("/api/token", { method: "POST", headers, body: "client%5Fsecret=x" })).status,
    ).toBe(400)
    expect((await proxy.ask("/api/token", { method: "POST", body })).status).toBe(400)
  })

  test("in JSON, at its place alone", async () => {
    await using proxy = await TestProxy.start()
    proxy.allow('quo"te\\', { place: { json: "/auth/token" } })
    const post = (body: string, type = "application/json"): ReturnType<TestProxy["ask"]> =>
      proxy.ask("/api/x", { method: "POST", headers: { "content-type": type }, body })
    expect((await post('{"auth":{"token":"{{secret}}"},"a":1}')).status).toBe(200)
    expect(JSON.parse(proxy.upstream.requests[0]?.body ?? "")).toEqual({ auth: { token: 'quo"te\\' }, a: 1 })
    for (const body of [
      '{"auth":{"token":"x"}}',
      '{"message":"{{secret}}"}',
      '{"auth":{"token":"{{secret}}"},"message":"{{secret}}"}',
      // The place has it in another writing, and the one that would be filled is elsewhere.
      '{"auth":{"token":"\\u007b{secret}}"},"message":"{{secret}}"}',
      '{"auth":{"token":"{{secret}}","token":"x"}}',
      '["{{secret}}"]',
      "{{secret}}",
      "",
    ])
      expect((await post(body)).status, body).toBe(400)
    expect((await post('{"auth":{"token":"{{secret}}"}}', "text/plain")).status).toBe(400)
    expect(proxy.upstream.requests).toHaveLength(1)
  })

  test("that is no line of ASCII is not sent", async () => {
    await using proxy = await TestProxy.start()
    proxy.allow("x")
    for (const value of ["a\r\nX-Injected: 1", "a\nb", "a\0b", "ü", "\r\n a"]) {
      proxy.vault.put("key", value)
      const answer = await proxy.ask("/api/models")
      expect([answer.status, answer.body.includes("Injected")], value).toEqual([400, false])
    }
    expect(proxy.upstream.requests).toEqual([])
  })
})

describe("the allow list", () => {
  test("of methods and paths, with borders between segments", async () => {
    await using proxy = await TestProxy.start()
    const endpoints = [
      { method: "GET", path: "/models" },
      { method: "GET", path: "/files/*/content" },
      { method: "POST", path: "/chat/**" },
      { method: "DELETE", path: "/models", enabled: false },
    ] as const
    proxy.allow(VALUE, { endpoints: [...endpoints] })
    const statusOf = async (method: string, path: string): Promise<number> =>
      (await proxy.ask(path, { method })).status
    for (const [method, path] of [
      ...[
        ["GET", "/api/models"],
        ["GET", "/api/files/a%20b/content"],
        ["POST", "/api/chat/completions"],
      ],
      ...[
        ["POST", "/api/chat/a/b"],
        ["POST", "/api/chat"],
        ["GET", "/api/%6Dodels"],
      ],
    ] as [string, string][])
      expect(await statusOf(method, path), path).toBe(200)
    for (const [method, path] of [
      ...[
        ["GET", "/api/models-x"],
        ["GET", "/api/models/"],
        ["GET", "/api/models/x"],
        ["POST", "/api/models"],
      ],
      ...[
        ["DELETE", "/api/models"],
        ["GET", "/api/files//content"],
        ["GET", "/api/files/content"],
      ],
      ...[
        ["POST", "/api/chatter"],
        ["GET", "/api"],
        ["GET", "/other/models"],
        ["HEAD", "/api/models"],
      ],
    ] as [string, string][])
      expect([400, 403], path).toContain(await statusOf(method, path))
    for (const path of [
      ...[
        "/api/chat/../models",
        "/api/chat/%2e%2e/models",
        "/api/chat/.%2E/x",
        "/api/chat/..%2fmodels",
        "/api/./chat/x",
      ],
      ...[
        "/api/chat/a%5cb",
        "/api/chat//x",
        "//api/chat/x",
        "/api/chat/%252e%252e/x",
        "/api/chat/%00",
        "/api/chat/%zz",
      ],
      ...["/api/chat/..;/x", "/api/chat/%c0%ae%c0%ae/x", "/api/chat/a%0d%0ab", "/api/chat/{x}"],
    ])
      expect(await statusOf("POST", path), path).toBe(400)
    expect(proxy.upstream.requests).toHaveLength(6)
  })

  test("by the host, as other proxies are asked", async () => {
    await using proxy = await TestProxy.start()
    const { port } = proxy.upstream
    proxy.allow(VALUE)
    expect((await proxy.ask(`http://api.test:${port}/v1/models`)).status).toBe(200)
    for (const url of [
      ...[
        `http://api.test:${port}/v2/models`,
        `http://api.test:${port}/v1models`,
        `http://api.test/v1/models`,
      ],
      ...[`http://evil.test:${port}/v1/models`, `http://api.test.evil.test:${port}/v1/a`],
    ])
      expect((await proxy.ask(url)).status, url).toBe(403)
    for (const url of [`http://user@api.test:${port}/v1/models`, "ftp://api.test/v1/a", "*"])
      expect((await proxy.ask(url)).status, url).toBe(400)
    expect(proxy.upstream.requests).toHaveLength(1)
    expect(await proxy.raw(`CONNECT api.test:${port} HTTP/1.1\r\nHost: api.test\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 405 /,
    )
    for (const method of ["TRACE", "PROPFIND"])
      expect((await proxy.ask("/api/models", { method })).status).toBe(400)
  })

  test("grants count, end, are for their users, and are looked at again when the value is handed over", async () => {
    await using proxy = await TestProxy.start()
    const grant = proxy.allow(VALUE, {}, { uses: 2 })
    expect((await proxy.ask("/api/a")).status).toBe(200)
    proxy.beforeUse = () => void proxy.vault.call(OWNER, "revoke", { id: grant })
    expect((await proxy.ask("/api/a")).status).toBe(403)
    proxy.beforeUse = () => undefined
    proxy.vault.grant("key", "inject", { endpoint: proxy.endpoint(), uid: 4711 })
    proxy.vault.grant("key", "inject", { endpoint: proxy.endpoint(), until: Date.now() - 1 })
    proxy.vault.grant("key", "reveal")
    expect((await proxy.ask("/api/a")).status).toBe(403)
    proxy.vault.grant("key", "inject", { endpoint: proxy.endpoint(), uses: 1 })
    expect([(await proxy.ask("/api/a")).status, (await proxy.ask("/api/a")).status]).toEqual([200, 403])
    expect(proxy.upstream.requests).toHaveLength(2)
    expect(proxy.rows().map(({ outcome }) => outcome)).toEqual(["done", "denied", "denied", "done", "denied"])
    proxy.vault.grant("key", "inject", { endpoint: proxy.endpoint() })
    proxy.vault.call(OWNER, "rm", { name: "key" })
    expect((await proxy.ask("/api/a")).status).toBe(403)
  })

  test("rates", async () => {
    await using proxy = await TestProxy.start()
    proxy.allow(VALUE, { rate_limits: { requests_per_minute: 60, burst_size: 2 } })
    const statuses = await Promise.all([1, 2, 3, 4].map(async () => (await proxy.ask("/api/a")).status))
    expect(statuses.sort()).toEqual([200, 200, 429, 429])
    expect(proxy.rows("inject-limited")).toHaveLength(2)
  })
})

describe("by a port of the loopback", () => {
  test("with a token, wherever a client puts its key; which is not sent on", async () => {
    await using proxy = await TestProxy.start()
    proxy.allow(VALUE, { place: { header: "x-api-key" } }, { uid: 1001 })
    const port = await proxy.listenOnLoopback()
    const token = proxy.injector.newToken(1001)
    const ask = async (headers: Record<string, string>): Promise<number> =>
      (await proxy.ask("/api/a", { port, headers })).status
    const basic = `Basic ${Buffer.from(`any:${token}`).toString("base64")}`
    for (const headers of [
      ...[{ Authorization: `Bearer ${token}` }, { "x-api-key": token }, { Authorization: basic }],
      { "Proxy-Authorization": `Bearer ${token}` },
    ] as Record<string, string>[])
      expect(await ask(headers), JSON.stringify(headers)).toBe(200)
    for (const { headers } of proxy.upstream.requests) {
      expect(headers["x-api-key"]).toBe(VALUE)
      expect(JSON.stringify(headers)).not.toContain(token)
      expect(headers).not.toHaveProperty("authorization")
    }
    for (const headers of [
      ...[
        {},
        { "x-api-key": "" },
        { "x-api-key": `${token}x` },
        { Authorization: `Bearer ${token.slice(0, -1)}` },
      ],
      ...[{ "x-api-key": proxy.injector.newToken(1002) }, { "x-api-key": token, Host: "evil.test" }],
    ] as Record<string, string>[])
      expect(await ask(headers), JSON.stringify(headers)).toBe(403)
    expect(proxy.upstream.requests).toHaveLength(4)
  })
})

describe("TLS", () => {
  test.each([
    ["nobody's certificate", { tls: {} }, {}],
    ["another host's certificate", { base_url: "https://other.test" }, {}],
    ["TLS 1.1", {}, { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" }],
    ["TLS 1.2 where 1.3 is asked for", { tls13: true }, { maxVersion: "TLSv1.2" }],
  ] as const)("%s: nothing is sent", async (_name, more, server) => {
    await using proxy = await TestProxy.start(await Upstream.start(server))
    const { tls = {} } = proxy.endpoint()
    const endpoint = "tls13" in more ? { tls: { ...tls, min_tls_version: "1.3" as const } } : more
    const base = "base_url" in more ? { base_url: `${more.base_url}:${proxy.upstream.port}/v1` } : {}
    proxy.allow(VALUE, { ...endpoint, ...base })
    expect((await proxy.ask("/api/a")).status).toBe(502)
    expect(proxy.upstream.requests).toEqual([])
  })

  test("TLS 1.2 is enough unless more is asked for", async () => {
    await using proxy = await TestProxy.start(await Upstream.start({ maxVersion: "TLSv1.2" }))
    proxy.allow(VALUE)
    expect((await proxy.ask("/api/a")).status).toBe(200)
  })
})

describe("addresses", () => {
  test("that are not public are refused unless the grant has them, before anything is sent", async () => {
    await using proxy = await TestProxy.start()
    proxy.allow(VALUE, { addresses: [] })
    for (const addresses of [
      ["127.0.0.1"],
      ["169.254.169.254"],
      ["::1"],
      ["::ffff:127.0.0.1"],
      ["93.184.216.34", "10.0.0.1"],
    ]) {
      proxy.addresses = addresses
      expect((await proxy.ask("/api/a")).status, addresses.join()).toBe(403)
    }
    expect([proxy.upstream.connections, proxy.rows().length]).toEqual([0, 0])
    proxy.addresses = []
    expect((await proxy.ask("/api/a")).status).toBe(502)
  })

  test("a host that is an address is looked at too", async () => {
    await using proxy = await TestProxy.start()
    const base_url = `https://127.0.0.1:${proxy.upstream.port}`
    proxy.allow(VALUE, { base_url, addresses: [] })
    expect((await proxy.ask("/api/a")).status).toBe(403)
    proxy.vault.grant("key", "inject", { endpoint: proxy.endpoint({ base_url, provider_id: "other" }) })
    expect((await proxy.ask("/other/a")).status).toBe(200)
    for (const text of [
      "https://0x7f.1",
      "https://2130706433",
      "https://[::ffff:7f00:1]",
      "https://localhost.",
    ]) {
      const id = proxy.vault.grant("key", "inject", {
        endpoint: proxy.endpoint({ base_url: text, addresses: [] }),
      })
      proxy.addresses = ["127.0.0.1"]
      expect((await proxy.ask("/api/a")).status, text).toBe(403)
      proxy.vault.call(OWNER, "revoke", { id })
    }
  })

  test("the one that was looked at is connected to: the name is asked for once", async () => {
    await using proxy = await TestProxy.start()
    proxy.allow(VALUE)
    proxy.beforeUse = () => (proxy.addresses = ["192.0.2.1"])
    expect((await proxy.ask("/api/a")).status).toBe(200)
    expect(proxy.resolved).toBe(1)
    // From now on it leads elsewhere: a kept connection to the old one is not taken for it.
    expect((await proxy.ask("/api/a")).status).toBe(403)
  })
})

test("grants with an endpoint that can't be are refused", async () => {
  await using proxy = await TestProxy.start()
  proxy.vault.put("key", VALUE)
  for (const base_url of [
    "http://api.test",
    "https://u:p@api.test",
    "https://api.test/?x",
    "https://api.test/a/%2e%2e%2fb",
    "nothing",
  ])
    expect(
      () => proxy.vault.grant("key", "inject", { endpoint: proxy.endpoint({ base_url }) }),
      base_url,
    ).toThrow()
  expect(() => proxy.vault.grant("key", "inject")).toThrow(/endpoint/)
  expect(() => proxy.vault.grant("key", "sign", { endpoint: proxy.endpoint() })).toThrow(/endpoint/)
})
