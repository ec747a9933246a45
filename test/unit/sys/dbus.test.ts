/** A connection to a bus that ends while it is being made: a fault, no descriptor that stays, nobody told twice. */
import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs"
import { createServer, type Server, type Socket } from "node:net"
import { once } from "node:events"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { Log } from "../../../clawfs/core/log.ts"
import { DbusLink } from "../../../clawfs/sys/dbus.ts"
import { SleepLock } from "../../../vault/service/sleep-lock.ts"

/** Says what it is told to, line by line, and ends where it is told to. */
class FakeBus implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "clawfs-fake-bus-"))
  readonly path = join(this.directory, "bus")
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  connections = 0

  constructor(serve: (socket: Socket, connection: number) => void) {
    this.#server = createServer((socket) => {
      this.connections += 1
      this.#sockets.add(socket)
      socket.on("error", () => socket.destroy())
      serve(socket, this.connections)
    })
  }

  async listen(): Promise<this> {
    this.#server.listen(this.path)
    await once(this.#server, "listening")
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, "close")
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** Answers the lines of the handshake that it has; ends at the first that it has not, having said `last`. */
function upTo(answers: readonly string[], last = "") {
  return (socket: Socket): void => {
    let [text, at] = ["", 0]
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1")
      for (let end = text.indexOf("\r\n"); end >= 0; end = text.indexOf("\r\n")) {
        text = text.slice(end + 2)
        const answer = answers[at]
        at += 1
        if (answer === undefined) socket.end(last)
        else if (answer !== "") socket.write(`${answer}\r\n`)
      }
    })
  }
}

const HELLO = ["OK 0123456789abcdef", "AGREE_UNIX_FD"]
/** An answer to call 1 that has half a header. */
const HALF = "l\u0002\u0001\u0001\u0010"
const MOMENTS: readonly (readonly [string, (socket: Socket) => void])[] = [
  // What came is unread then: the kernel tells the other end that by an error (unix(7), ECONNRESET).
  ["at once", (socket) => socket.destroy()],
  ["when it is asked who we are", upTo([])],
  ["in the middle of a line", upTo([], "OK 0123")],
  ["with a refusal", upTo(["REJECTED EXTERNAL"])],
  ["when descriptors are agreed on", upTo(["OK 0123456789abcdef"])],
  ["where no descriptors are passed", upTo(["OK 0123456789abcdef", "ERROR"])],
  ["when it is greeted", upTo(HELLO)],
  ["in the middle of the answer to that", upTo(HELLO, HALF)],
  ["with bytes that are no message", upTo(HELLO, "x".repeat(64))],
]

/** Descriptors of sockets that this process has. */
function sockets(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:")
    } catch {
      // The directory's own descriptor.
      return false
    }
  }).length
}

describe.each(MOMENTS)("a bus that ends %s", (_, serve) => {
  test("is a fault, and leaves no descriptor", async () => {
    const before = sockets()
    await using bus = await new FakeBus(serve).listen()
    let ended = 0
    const connecting = DbusLink.connect(bus.path, { signal: () => undefined, ended: () => (ended += 1) })
    await expect(connecting).rejects.toMatchObject({ name: "Fault" })
    await bus[Symbol.asyncDispose]()
    // Fewer: those of the test before may have been closing.
    await expect.poll(sockets).toBeLessThanOrEqual(before)
    expect(ended).toBeLessThanOrEqual(1)
  })

  describe("and the vault that would be locked before a sleep", () => {
    beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }))
    afterEach(() => void vi.useRealTimers())

    test("says why it is not, and asks once more, by one timer", async () => {
      await using bus = await new FakeBus(serve).listen()
      using lock = new SleepLock(
        () => undefined,
        new Log("test", { level: "error" }),
        `unix:path=${bus.path}`,
      )
      for (let round = 1; round <= 3; round += 1) {
        if (round === 1) await lock.start()
        await vi.waitFor(() => expect([bus.connections, vi.getTimerCount()]).toEqual([round, 1]))
        expect([lock.isHeld, typeof lock.missing]).toEqual([false, "string"])
        vi.runOnlyPendingTimers()
      }
    })
  })
})
