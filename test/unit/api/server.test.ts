import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { ControlServer, type Handler } from "../../../clawfs/api/server.ts"
import { Fault } from "../../../clawfs/core/fault.ts"
import { CONTROL_SOCKET, shortSocketPath } from "../../../clawfs/sys/socket-path.ts"
import { MAX_LINE_BYTES, readResponse } from "../../../schema/response.ts"
import { QuietLog } from "../support/log.ts"
import { Random, runs, seed } from "../support/random.ts"
import { RawClient, answers, requestLine } from "../support/socket.ts"
import { temporary, type Temporary } from "../support/temporary.ts"

let place: Temporary
let path: string
let server: ControlServer
let log: QuietLog
let release: () => void
const calls: unknown[] = []

const handlers = new Map<string, Handler>([
  [
    "echo",
    (params) => {
      calls.push(params)
      return params
    },
  ],
  [
    "slow",
    async () => {
      await sleep(20)
      return "slow"
    },
  ],
  ["held", () => new Promise((resolve) => (release = (): void => resolve("held")))],
  [
    "refuse",
    () => {
      throw new Fault("busy", "not now")
    },
  ],
  [
    "refuse with a hint",
    () => {
      throw new Fault("busy", "not now", { hint: "try later" })
    },
  ],
  [
    "break",
    () => {
      throw new TypeError("x is undefined")
    },
  ],
])

beforeEach(async () => {
  place = temporary()
  path = join(place.path, CONTROL_SOCKET)
  log = new QuietLog()
  calls.length = 0
  server = await ControlServer.listen(shortSocketPath(place.path, CONTROL_SOCKET), handlers, log)
})

afterEach(async () => {
  await server[Symbol.asyncDispose]()
  place[Symbol.dispose]()
})

/** Sends everything on one connection and reads as many answers. */
async function exchange(text: string | Buffer, count: number): Promise<unknown[]> {
  await using client = await RawClient.connect(path)
  client.send(text)
  return (await client.lines(count)).map((line) => JSON.parse(line) as unknown)
}

const failure = (id: number, kind: string, message: string): unknown => ({
  v: 1,
  id,
  ok: false,
  error: { kind, message },
})
const success = (id: number, result: unknown): unknown => ({ v: 1, id, ok: true, result })

describe("a request", () => {
  test("is answered with its number and the method's result", async () => {
    expect(await exchange(requestLine(7, "echo", { a: [1, "ü"] }), 1)).toEqual([success(7, { a: [1, "Ã¼"] })])
    expect(calls).toEqual([{ a: [1, "ü"] }])
  })

  test("without params gets none", async () => {
    expect(await exchange('{"v":1,"id":0,"method":"echo"}\n', 1)).toEqual([success(0, {})])
  })

  test("is answered in its turn, however long the one before takes", async () => {
    const lines = [
      requestLine(1, "slow"),
      requestLine(2, "echo"),
      requestLine(3, "slow"),
      requestLine(4, "none"),
    ]
    const found = (await exchange(lines.join(""), 4)) as { id: number }[]
    expect(found.map(({ id }) => id)).toEqual([1, 2, 3, 4])
  })

  test("may come in any pieces", async () => {
    await using client = await RawClient.connect(path)
    for (const byte of Buffer.from(requestLine(1, "echo", { text: "ü€😀" }))) {
      client.send(Buffer.from([byte]))
      await new Promise(setImmediate)
    }
    await client.lines(1)
    expect(calls).toEqual([{ text: "ü€😀" }])
  })

  test("fails with what the method says", async () => {
    expect(await exchange(requestLine(1, "refuse"), 1)).toEqual([failure(1, "busy", "not now")])
    expect(log.take()).toEqual([])
  })

  test("fails with what is to be done about it", async () => {
    expect(await exchange(requestLine(1, "refuse with a hint"), 1)).toEqual([
      { v: 1, id: 1, ok: false, error: { kind: "busy", message: "not now", hint: "try later" } },
    ])
  })

  test("fails as a bug when the method breaks, which is logged", async () => {
    expect(await exchange(requestLine(1, "break"), 1)).toEqual([failure(1, "bug", "x is undefined")])
    expect(log.take()).toEqual(["method failed"])
  })

  test("for an unknown method is unsupported, whatever the name", async () => {
    for (const method of ["none", "constructor", "__proto__", "toString"])
      expect(await exchange(requestLine(3, method), 1)).toEqual([
        failure(3, "unsupported", `unknown method "${method}"`),
      ])
  })

  test.each([
    ["empty", "", "not JSON"],
    ["null", "null", "request"],
    ["an array", "[]", "request"],
    ["an empty object", "{}", "v:"],
    ["of another version", '{"v":2,"id":1,"method":"echo"}', "v:"],
    ["numbered below 0", '{"v":1,"id":-1,"method":"echo"}', "id:"],
    ["numbered with a fraction", '{"v":1,"id":1.5,"method":"echo"}', "id:"],
    ["without a method", '{"v":1,"id":1,"method":""}', "method:"],
    ["with a list of params", '{"v":1,"id":1,"method":"echo","params":[]}', "params:"],
    ["with a field too many", '{"v":1,"id":1,"method":"echo","extra":1}', "extra"],
    ["with an endless method", `{"v":1,"id":1,"method":"${"x".repeat(65)}"}`, "method:"],
    ["an abyss of arrays", "[".repeat(60_000), "not JSON"],
    ["an abyss of objects", '{"a":'.repeat(10_000), "not JSON"],
    ["not UTF-8", Buffer.from([0x22, 0xff, 0xfe, 0x22]).toString("latin1"), "request"],
  ])("that is %s is refused, and the connection goes on", async (_what, line, expected) => {
    const [refused, answered] = await exchange(`${line}\n${requestLine(5, "echo")}`, 2)
    const { id, error } = refused as { id: number; error: { kind: string; message: string } }
    expect([id, error.kind]).toEqual([-1, "invalid"])
    expect(error.message).toContain(expected)
    // What was sent may be a secret: nothing of it is repeated.
    expect(error.message.length).toBeLessThan(200)
    expect(answered).toEqual(success(5, {}))
  })
})

describe("a line that is too long", () => {
  test("is refused when it is complete, and the connection goes on", async () => {
    const long = requestLine(1, "echo", { text: "x".repeat(MAX_LINE_BYTES) })
    await using client = await RawClient.connect(path)
    client.send(long)
    const [line = ""] = await client.lines(1)
    expect(JSON.parse(line)).toEqual(
      failure(-1, "invalid", `a request is longer than ${MAX_LINE_BYTES} bytes`),
    )
    expect(await answers(path, "echo")).toBe(true)
  })

  test("without an end closes the connection before much of it is kept", async () => {
    await using client = await RawClient.connect(path)
    const piece = Buffer.alloc(64 * 1024, "x")
    for (let i = 0; i < 64; i += 1) client.send(piece)
    await client.closed()
    expect(await answers(path, "echo")).toBe(true)
    expect(calls).toEqual([{}])
  })

  test("of exactly the limit is taken", async () => {
    const head = '{"v":1,"id":1,"method":"echo","params":{"t":"'
    const line = `${head}${"x".repeat(MAX_LINE_BYTES - head.length - 3)}"}}`
    expect(line).toHaveLength(MAX_LINE_BYTES)
    const [found] = (await exchange(`${line}\n`, 1)) as { ok: boolean }[]
    expect(found?.ok).toBe(true)
  })
})

describe("clients", () => {
  test("that break off anywhere disturb nobody", async () => {
    const line = requestLine(1, "slow")
    for (let length = 0; length <= line.length; length += 3) {
      const client = await RawClient.connect(path)
      client.send(line.slice(0, length))
      await client[Symbol.asyncDispose]()
    }
    expect(await answers(path, "echo")).toBe(true)
    expect(log.lines.filter(({ level }) => level === "error")).toEqual([])
  })

  test("that have said all and closed their side still get their answers", async () => {
    await using client = await RawClient.connect(path)
    client.send(requestLine(1, "slow") + requestLine(2, "echo"))
    client.endWriting()
    const ids = (await client.lines(2)).map((line) => (JSON.parse(line) as { id: number }).id)
    expect(ids).toEqual([1, 2])
  })

  test("beyond the sixty-fourth are turned away until one leaves", async () => {
    const clients: RawClient[] = []
    for (let i = 0; i < 64; i += 1) clients.push(await RawClient.connect(path))
    for (const client of clients) client.send(requestLine(1, "echo"))
    for (const client of clients) expect(await client.lines(1)).toHaveLength(1)
    const tooMany = await RawClient.connect(path)
    await tooMany.closed()
    await clients.pop()?.[Symbol.asyncDispose]()
    await expect.poll(() => answers(path, "echo").catch(() => false)).toBe(true)
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()))
  })

  test("that never read do not make the daemon answer on and on", async () => {
    await using client = await RawClient.connect(path)
    client.socket.pause()
    const requests = 20_000
    const lines = requestLine(1, "echo", { text: "x".repeat(400) }).repeat(1000)
    for (let sent = 0; sent < requests; sent += 1000) client.send(lines)
    let before = -1
    while (calls.length !== before) {
      before = calls.length
      await sleep(300)
    }
    // As many as fit the buffers of the connection; the rest waits until somebody reads.
    expect(calls.length).toBeLessThan(requests)
    expect(await answers(path, "echo")).toBe(true)
  })

  test("are dropped when the daemon ends, even in the middle of a request", async () => {
    const client = await RawClient.connect(path)
    client.send(requestLine(1, "held"))
    await expect.poll(() => typeof release).toBe("function")
    await server[Symbol.asyncDispose]()
    await client.closed()
    release()
    server = await ControlServer.listen(shortSocketPath(place.path, CONTROL_SOCKET), handlers, log)
    expect(await answers(path, "echo")).toBe(true)
  })
})

describe("the socket", () => {
  test("is its owner's alone", () => {
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  test("replaces what a dead daemon left behind", async () => {
    await server[Symbol.asyncDispose]()
    writeFileSync(path, "left behind")
    server = await ControlServer.listen(shortSocketPath(place.path, CONTROL_SOCKET), handlers, log)
    expect(await answers(path, "echo")).toBe(true)
  })

  test("lies as deep as a store may: the address has no limit of its own", async () => {
    const deep = join(place.path, ...Array<string>(10).fill("x".repeat(30)))
    mkdirSync(deep, { recursive: true })
    await using _ = await ControlServer.listen(shortSocketPath(deep, CONTROL_SOCKET), handlers, log)
    using address = shortSocketPath(deep, CONTROL_SOCKET)
    expect(await answers(address.path, "echo")).toBe(true)
    expect(join(deep, CONTROL_SOCKET).length).toBeGreaterThan(107)
    rmSync(deep, { recursive: true })
  })
})

test("no bytes end the daemon: noise and bent requests, whole or in pieces", async () => {
  const random = new Random(seed)
  const valid = Buffer.from(requestLine(1, "echo", { text: "abc", list: [1, 2] }))
  const bent = (): Buffer => {
    const bytes = Buffer.from(valid)
    for (let i = random.below(4); i >= 0; i -= 1) bytes[random.below(bytes.length)] = random.below(256)
    return random.below(3) === 0 ? bytes.subarray(0, random.below(bytes.length)) : bytes
  }
  for (let i = 0; i < runs(100); i += 1) {
    await using client = await RawClient.connect(path)
    for (let pieces = random.below(12); pieces >= 0; pieces -= 1) {
      client.send(random.below(3) === 0 ? random.bytes(random.below(2000)) : bent())
      if (random.below(3) === 0) await new Promise(setImmediate)
    }
    // Whatever was left unfinished ends here; the last line is a request that everybody understands.
    client.send(`\n${requestLine(4711, "echo")}`)
    const isLast = (line: string): boolean => (JSON.parse(line) as { id: number }).id === 4711
    let lines: string[] = []
    for (let count = 1; !lines.some(isLast); count += 1) lines = await client.lines(count)
    for (const line of lines) expect(readResponse(JSON.parse(line))).toBeDefined()
  }
  expect(await answers(path, "echo")).toBe(true)
  expect(log.lines.filter(({ level }) => level === "error")).toEqual([])
})
