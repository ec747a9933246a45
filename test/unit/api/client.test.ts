import { createServer, type Server, type Socket } from "node:net"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { call } from "../../../clawfs/api/client.ts"
import { ControlServer } from "../../../clawfs/api/server.ts"
import { Fault } from "../../../clawfs/core/fault.ts"
import { CONTROL_SOCKET, shortSocketPath } from "../../../clawfs/sys/socket-path.ts"
import { QuietLog } from "../support/log.ts"
import { temporary, type Temporary } from "../support/temporary.ts"

let place: Temporary
let daemon: Server | undefined

beforeEach(() => {
  place = temporary()
})

afterEach(async () => {
  await new Promise<void>((resolve) => (daemon === undefined ? resolve() : daemon.close(() => resolve())))
  daemon = undefined
  place[Symbol.dispose]()
})

/** A daemon that answers as a test wants it to. */
async function daemonThat(respond: (socket: Socket) => unknown): Promise<void> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined)
    socket.once("data", () => void respond(socket))
  })
  daemon = server
  await new Promise<void>((resolve) => server.listen(join(place.path, CONTROL_SOCKET), resolve))
}

async function faultOf(promise: Promise<unknown>): Promise<[kind: string, message: string]> {
  try {
    await promise
  } catch (thrown) {
    return thrown instanceof Fault ? [thrown.kind, thrown.message] : ["no fault", String(thrown)]
  }
  return ["no fault", "nothing was thrown"]
}

const answer = (result: unknown): string => `${JSON.stringify({ v: 1, id: 1, ok: true, result })}\n`

describe("a call", () => {
  test("gives back what the daemon's method returned", async () => {
    const handlers = new Map([["add", (params: Readonly<Record<string, unknown>>) => ({ sum: params["a"] })]])
    await using _ = await ControlServer.listen(
      shortSocketPath(place.path, CONTROL_SOCKET),
      handlers,
      new QuietLog(),
    )
    expect(await call(place.path, "add", { a: 4 })).toEqual({ sum: 4 })
    expect(await faultOf(call(place.path, "other"))).toEqual(["unsupported", 'unknown method "other"'])
  })

  test("understands an answer that arrives in pieces, even in the middle of a character", async () => {
    await daemonThat(async (socket) => {
      for (const byte of Buffer.from(answer("/home/müller/€"))) {
        socket.write(Buffer.from([byte]))
        await new Promise(setImmediate)
      }
    })
    expect(await call(place.path, "status")).toBe("/home/müller/€")
  })

  test("fails as not found when nobody listens, or no store is there", async () => {
    expect(await faultOf(call(place.path, "status"))).toEqual(["not-found", "no daemon serves this store"])
    expect((await faultOf(call(join(place.path, "missing"), "status")))[0]).toBe("not-found")
  })

  test("fails as not found when a dead daemon's socket is still there", async () => {
    await daemonThat(() => undefined)
    const server = daemon
    // Closing unlinks the socket: a killed daemon leaves it.
    const { linkSync, renameSync } = await import("node:fs")
    linkSync(join(place.path, CONTROL_SOCKET), join(place.path, "kept"))
    await new Promise<void>((resolve) => server?.close(() => resolve()))
    daemon = undefined
    renameSync(join(place.path, "kept"), join(place.path, CONTROL_SOCKET))
    expect((await faultOf(call(place.path, "status")))[0]).toBe("not-found")
  })

  test("fails with the daemon's own fault", async () => {
    const error = { kind: "timeout", message: "the disk does not answer" }
    await daemonThat((socket) => socket.write(`${JSON.stringify({ v: 1, id: 1, ok: false, error })}\n`))
    expect(await faultOf(call(place.path, "sync"))).toEqual(["timeout", "the disk does not answer"])
  })

  test.each(["{}\n", "null\n", "this is no JSON\n", '{"v":2,"id":1,"ok":true,"result":1}\n'])(
    "fails as an I/O error when the answer is %j",
    async (line) => {
      await daemonThat((socket) => socket.write(line))
      expect(await faultOf(call(place.path, "status"))).toEqual([
        "io",
        "the daemon's answer can't be understood",
      ])
    },
  )

  test("fails as an I/O error when the daemon hangs up without an answer", async () => {
    await daemonThat((socket) => socket.end('{"v":1,'))
    expect(await faultOf(call(place.path, "status"))).toEqual(["io", "the daemon closed the connection"])
  })

  test("says the same of a daemon that is killed with the request unread", async () => {
    // Closed with bytes that nobody has read: the other end gets ECONNRESET, as from a process that was killed.
    const server = createServer({ pauseOnConnect: true }, (socket) => {
      setTimeout(() => socket.destroy(), 50)
    })
    daemon = server
    await new Promise<void>((resolve) => server.listen(join(place.path, CONTROL_SOCKET), resolve))
    expect(await faultOf(call(place.path, "status"))).toEqual(["io", "the daemon closed the connection"])
  })
})
