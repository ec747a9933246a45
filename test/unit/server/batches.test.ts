import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, describe, expect, test, vi } from "vitest"
import { E } from "../../../clawfs/core/errno.ts"
import { Fault } from "../../../clawfs/core/fault.ts"
import { Opcode } from "../../../clawfs/fuse/abi.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { META } from "../../../clawfs/store/store.ts"
import { InodeFlag } from "../../../clawfs/store/inode.ts"
import * as libc from "../../../clawfs/sys/libc.ts"
import { firstDifference } from "../support/compare.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { request, resent, unpack, words, z, type Head } from "../support/requests.ts"
import { KILLED, TestServer } from "../support/server.ts"

/** How many appends to the log succeed before the disk is full; undefined: there is room. */
const disk = vi.hoisted(() => ({ appends: undefined as number | undefined }))

vi.mock(import("../../../clawfs/sys/libc.ts"), async (original) => {
  const real = await original()
  return {
    ...real,
    pwritev: (...args: Parameters<typeof libc.pwritev>): number => {
      // The journal writes four parts at a time, a record has two.
      if (args[2] !== 2 || disk.appends === undefined) return real.pwritev(...args)
      disk.appends -= 1
      return disk.appends < 0 ? 0 : real.pwritev(...args)
    },
  }
})

afterEach(() => {
  disk.appends = undefined
  vi.restoreAllMocks()
})

const O = Opcode
const ROOT = 1

class Session {
  readonly server: TestServer
  #unique = 2n

  constructor(server: TestServer) {
    this.server = server
  }

  make(opcode: number, node: number, bodies: readonly Uint8Array[], head: Head = {}): Buffer {
    this.#unique += 2n
    return request(opcode, bodies, { unique: this.#unique, node, ...head })
  }

  /** The node of an entry reply, or a negative errno. */
  entry(opcode: number, node: number, bodies: readonly Uint8Array[], head: Head = {}): number {
    return nodeOf(this.server.send(this.make(opcode, node, bodies, head)))
  }

  /** 0 or a negative errno. */
  status(opcode: number, node: number, bodies: readonly Uint8Array[], head: Head = {}): number {
    return errorOf(this.server.send(this.make(opcode, node, bodies, head)))
  }

  init(): void {
    const all = 0xffff_ffff
    const status = this.status(O.INIT, 0, [words(7, 45, 4096, all, all), Buffer.alloc(44)])
    if (status !== 0) throw new Error(`INIT failed: ${status}`)
  }

  mkdir(name: string): number {
    return this.entry(O.MKDIR, ROOT, [words(0o755, 0), z(name)])
  }

  mknod(name: string, mode = 0o100644): number {
    return this.entry(O.MKNOD, ROOT, [words(mode, 0, 0, 0), z(name)])
  }

  tmpfile(): Buffer {
    return this.make(O.TMPFILE, ROOT, [words(0o20200002, 0o600, 0, 0), z("unused")])
  }

  write(node: number, offset: number, data: Buffer, head: Head = {}, flags = 0): number {
    return this.status(O.WRITE, node, [words(0n, BigInt(offset), data.length, flags, 0n, 0, 0), data], head)
  }

  read(node: number, size = 200_000): Buffer {
    const answer = this.server.send(this.make(O.READ, node, [words(0n, 0n, size, 0, 0n, 0, 0)]))
    if (answer === KILLED || answer?.error !== 0) throw new Error("the read failed")
    return answer.payload
  }

  forget(...nodes: number[]): void {
    const pairs = nodes.map((node) => words(BigInt(node), 1n))
    this.server.send(this.make(O.BATCH_FORGET, ROOT, [words(nodes.length, 0), ...pairs]))
  }

  names(): string[] {
    const answer = this.server.send(this.make(O.READDIR, ROOT, [words(0n, 0n, 100_000, 0, 0n, 0, 0)]))
    if (answer === KILLED || answer === undefined) throw new Error("no answer")
    return unpack(answer.payload, false)
      .map(({ name }) => name)
      .slice(2)
      .sort()
  }
}

type Sent = ReturnType<TestServer["send"]>

function nodeOf(answer: Sent): number {
  if (answer === KILLED || answer === undefined) throw new Error("no answer")
  return answer.error === 0 ? Number(answer.payload.readBigUInt64LE(0)) : answer.error
}

function errorOf(answer: Sent): number {
  if (answer === KILLED || answer === undefined) throw new Error("no answer")
  return answer.error
}

/** The next so many commits fail for want of space. */
function failCommits(times: number): void {
  const spy = vi.spyOn(Database.prototype, "commit")
  for (let i = 0; i < times; i += 1)
    spy.mockImplementationOnce(() => {
      throw new Fault("no-space", "the disk below the store is full")
    })
}

describe("what was answered and not committed", () => {
  test("is there after a kill, in its order, and its answers hold", () => {
    using server = new TestServer()
    const session = new Session(server)
    const a = session.mkdir("a")
    expect(session.status(O.RENAME, ROOT, [words(1n), z("a"), z("b")])).toBe(0)
    const c = session.mknod("c")
    expect(session.write(c, 0, Buffer.from("contents"))).toBe(0)
    server.restart()
    expect(server.replayed).toBe(4)
    expect(session.names()).toEqual(["b", "c"])
    expect(session.entry(O.LOOKUP, ROOT, [z("b")])).toBe(a)
    expect(session.read(c).toString()).toBe("contents")
    server.restart()
    expect(server.replayed).toBe(0)
    expect(brokenInvariants(server.directory)).toEqual([])
  })

  test("is committed as a batch of 256", () => {
    const moments: string[] = []
    using server = new TestServer({
      killsAt: (moment) => {
        moments.push(moment)
        return false
      },
    })
    const session = new Session(server)
    for (let i = 0; i < 255; i += 1) session.mkdir(`d${i}`)
    expect(moments.filter((moment) => moment === "committed")).toEqual([])
    session.mkdir("last")
    expect(moments.slice(-2)).toEqual(["answered", "committed"])
    server.restart()
    expect(server.replayed).toBe(0)
    expect(session.names()).toHaveLength(256)
  })

  test("is committed before an fsync is answered, and before a write too large for the journal", () => {
    using server = new TestServer()
    const session = new Session(server)
    const node = session.mknod("a")
    expect(session.status(O.FSYNC, node, [words(0n, 0, 0)])).toBe(0)
    server.restart()
    expect(server.replayed).toBe(0)
    session.mknod("b")
    expect(session.write(node, 0, Buffer.alloc(70_000, "x"))).toBe(0)
    server.restart()
    expect(server.replayed).toBe(0)
    expect(session.names()).toEqual(["a", "b"])
    expect(session.read(node)).toHaveLength(70_000)
  })

  test("survives a request that fails in the middle", () => {
    using server = new TestServer()
    const session = new Session(server)
    session.mkdir("a")
    vi.spyOn(server.store.dentries, "insert").mockImplementationOnce(() => {
      throw new Fault("io", "for once")
    })
    expect(session.mkdir("b")).toBe(-E.EIO)
    expect(session.mkdir("c")).toBeGreaterThan(0)
    expect(session.names()).toEqual(["a", "c"])
    server.restart()
    expect(session.names()).toEqual(["a", "c"])
    expect(brokenInvariants(server.directory)).toEqual([])
  })

  test("survives such a request in the first server of a mount, extended attributes included", () => {
    using server = new TestServer({ isFirst: true })
    const session = new Session(server)
    session.init()
    const node = session.mknod("a")
    expect(session.status(O.SETXATTR, node, [words(5, 0, 0, 0), z("user.name"), Buffer.from("value")])).toBe(
      0,
    )
    vi.spyOn(server.store.dentries, "insert").mockImplementationOnce(() => {
      throw new Fault("io", "for once")
    })
    expect(session.mkdir("b")).toBe(-E.EIO)
    expect(session.names()).toEqual(["a"])
    expect(session.status(O.GETXATTR, node, [words(100, 0), z("user.name")])).toBe(0)
  })
})

describe("a request whose server was killed", () => {
  test("by O_TMPFILE still has its file after the answer came from the next server", () => {
    let isArmed = true
    using server = new TestServer({ killsAt: () => isArmed })
    const session = new Session(server)
    const message = session.tmpfile()
    expect(server.send(message)).toBe(KILLED)
    isArmed = false
    server.restart()
    const node = nodeOf(server.send(resent(message)))
    expect(node).toBeGreaterThan(ROOT)
    expect(session.write(node, 0, Buffer.from("temporary"))).toBe(0)
    server.settle()
    expect(session.status(O.GETATTR, node, [words(0, 0, 0n)])).toBe(0)
    expect(session.read(node).toString()).toBe("temporary")
  })

  test("that appended to an append-only file succeeds when it is asked again", () => {
    let isArmed = false
    using server = new TestServer({ killsAt: () => isArmed })
    const session = new Session(server)
    const node = session.mknod("log")
    const SETFLAGS = words(0n, 0, 0x4008_6602, 0n, 8, 0)
    expect(session.status(O.IOCTL, node, [SETFLAGS, words(InodeFlag.APPEND, 0)])).toBe(0)
    const line = Buffer.from("line\n")
    const message = session.make(O.WRITE, node, [words(0n, 0n, line.length, 0, 0n, 0, 0), line])
    isArmed = true
    expect(server.send(message)).toBe(KILLED)
    isArmed = false
    server.restart()
    expect(errorOf(server.send(resent(message)))).toBe(0)
    expect(session.read(node).toString()).toBe("line\n")
  })

  test("that copied within its own file copies no more when it is asked again", () => {
    let isArmed = false
    using server = new TestServer({ killsAt: () => isArmed })
    const session = new Session(server)
    const node = session.mknod("a")
    session.write(node, 0, Buffer.from("0123456789"))
    // More than there is: the copy ends where the file ended.
    const range = words(0n, 5n, BigInt(node), 0n, 10n, 100n, 0n)
    const message = session.make(O.COPY_FILE_RANGE, node, [range])
    isArmed = true
    expect(server.send(message)).toBe(KILLED)
    isArmed = false
    server.restart()
    const answer = server.send(resent(message))
    expect(answer !== KILLED && answer?.payload.readUInt32LE(0)).toBe(5)
    expect(session.read(node).toString()).toBe("012345678956789")
  })

  test("while it committed many removals does not keep the next server from starting", () => {
    let answers = -1
    using server = new TestServer({
      killsAt: (moment) => {
        if (answers >= 0 && moment === "answered") answers += 1
        return answers === 2
      },
    })
    const session = new Session(server)
    const x = session.mknod("x")
    const nodes = Array.from({ length: 511 }, () => nodeOf(server.send(session.tmpfile())))
    server.pause()
    session.forget(x, ...nodes)
    // With this one, 512 inodes wait for their burial.
    answers = 0
    const message = session.make(O.UNLINK, ROOT, [z("x")])
    const answer = server.send(message)
    answers = -1
    server.restart()
    if (answer === KILLED) expect(errorOf(server.send(resent(message)))).toBe(0)
    expect(session.names()).toEqual([])
    server.settle()
    expect(brokenInvariants(server.directory)).toEqual([])
  })
})

describe("a disk that is full when a batch is committed", () => {
  test("is helped with the reserve: nothing that was answered is lost", () => {
    using server = new TestServer()
    const session = new Session(server)
    session.mkdir("a")
    failCommits(1)
    expect(server.pause()).toBeUndefined()
    expect(session.names()).toEqual(["a"])
    expect(session.mkdir("b")).toBeGreaterThan(0)
    server.restart()
    expect(session.names()).toEqual(["a", "b"])
  })

  test("shows in what is read afterwards as little as on the disk", () => {
    using server = new TestServer()
    const session = new Session(server)
    const node = session.mknod("a")
    expect(session.write(node, 0, Buffer.from("small"))).toBe(0)
    failCommits(1)
    // Too large for the journal: the batch is committed first.
    const large = Buffer.alloc(100_000, "large")
    expect(session.write(node, 0, large)).toBe(0)
    expect(firstDifference(session.read(node), large)).toBe(-1)
    expect(session.write(node, 100_000, Buffer.from("end"))).toBe(0)
    server.restart()
    expect(firstDifference(session.read(node), Buffer.concat([large, Buffer.from("end")]))).toBe(-1)
    expect(brokenInvariants(server.directory)).toEqual([])
  })

  test("does not make a request fail that was noted already", () => {
    using server = new TestServer()
    const session = new Session(server)
    for (let i = 0; i < 255; i += 1) session.mkdir(`d${i}`)
    // With this one the batch is large enough to be committed.
    failCommits(2)
    const answer = session.mkdir("last")
    const isThere = session.names().includes("last")
    expect([answer > 0, isThere]).toEqual([isThere, true])
    server.restart()
    expect(session.names()).toHaveLength(256)
  })

  test("in the middle of a BATCH_FORGET takes no lookup back twice", () => {
    using server = new TestServer()
    const session = new Session(server)
    const held = session.mkdir("held")
    session.entry(O.LOOKUP, ROOT, [z("held")])
    session.entry(O.LOOKUP, ROOT, [z("held")])
    const nodes = Array.from({ length: 512 }, () => nodeOf(server.send(session.tmpfile())))
    failCommits(3)
    expect(() => server.pause()).toThrow("full")
    session.forget(held, ...nodes)
    expect(server.env.lookups.get(held)).toBe(2)
  })

  test("even with the reserve loses nothing that was answered, once there is room again", () => {
    using server = new TestServer()
    const session = new Session(server)
    session.mkdir("a")
    // With and without the reserve, and the same again for the next request.
    failCommits(4)
    expect(() => server.pause()).toThrow("full")
    expect(session.mkdir("b")).toBe(-E.ENOSPC)
    expect(session.names()).toEqual(["a"])
    expect(session.mkdir("c")).toBeGreaterThan(0)
    expect(session.names()).toEqual(["a", "c"])
    server.restart()
    expect(session.names()).toEqual(["a", "c"])
  })
})

describe("a disk that is full when a record is written", () => {
  test("leaves the file as it was, in memory and after a restart", () => {
    using server = new TestServer()
    const session = new Session(server)
    const node = session.mknod("a")
    const old = Buffer.alloc(16_000, "old ")
    expect(session.write(node, 0, old)).toBe(0)
    server.pause()
    // The inline piece can still be moved to the log, the new bytes can't be written.
    disk.appends = 1
    expect(session.write(node, 8000, Buffer.alloc(10_000, "new "))).toBe(-E.ENOSPC)
    disk.appends = undefined
    expect(firstDifference(session.read(node), old)).toBe(-1)
    server.pause()
    server.restart()
    expect(firstDifference(session.read(node), old)).toBe(-1)
    expect(brokenInvariants(server.directory)).toEqual([])
  })

  test("takes nothing else of the batch back", () => {
    using server = new TestServer()
    const session = new Session(server)
    const node = session.mknod("a")
    session.mkdir("b")
    disk.appends = 0
    expect(session.write(node, 0, Buffer.alloc(30_000, "x"))).toBe(-E.ENOSPC)
    disk.appends = undefined
    expect(session.read(node)).toHaveLength(0)
    server.restart()
    expect(session.names()).toEqual(["a", "b"])
    expect(brokenInvariants(server.directory)).toEqual([])
  })
})

describe("the journal of an earlier boot", () => {
  test("never gets into the batches of this one", () => {
    using server = new TestServer({ isFirst: true })
    const [meta, saved] = [join(server.directory, META), join(server.directory, "saved")]
    const session = new Session(server)
    server.kill()
    cpSync(meta, saved)
    server.start(true)
    session.init()
    session.mkdir("1")
    session.mkdir("2")
    server.kill()
    // A power cut: the journal had reached the disk, the last commits had not. The boot id is another one.
    for (const suffix of ["-wal", "-shm"]) rmSync(meta + suffix, { force: true })
    cpSync(saved, meta)
    const journal = join(server.directory, "journal")
    const bytes = readFileSync(journal)
    bytes.fill("0", 8, 44)
    writeFileSync(journal, bytes)
    server.start(true)
    expect(server.replayed).toBe(0)
    expect(session.names()).toEqual([])
    session.init()
    session.mkdir("3")
    server.restart()
    expect(server.replayed).toBe(1)
    expect(session.names()).toEqual(["3"])
  })
})
