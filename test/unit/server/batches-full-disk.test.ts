import { statSync } from "node:fs"
import { join } from "node:path"
import { afterEach, describe, expect, test, vi } from "vitest"
import { E } from "../../../clawfs/core/errno.ts"
import { Fault } from "../../../clawfs/core/fault.ts"
import { Opcode } from "../../../clawfs/fuse/abi.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { Reserve } from "../../../clawfs/store/reserve.ts"
import type * as libc from "../../../clawfs/sys/libc.ts"
import { firstDifference } from "../support/compare.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { z } from "../support/requests.ts"
import { TestServer } from "../support/server.ts"
import { ROOT, Session, nodeOf } from "../support/session.ts"

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

/** The next so many commits fail for want of space. */
function failCommits(times: number): void {
  const spy = vi.spyOn(Database.prototype, "commit")
  for (let i = 0; i < times; i += 1)
    spy.mockImplementationOnce(() => {
      throw new Fault("no-space", "the disk below the store is full")
    })
}

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
    // With and without the reserve, and the same again for the next commit.
    failCommits(4)
    expect(() => server.pause()).toThrow("full")
    expect(session.mkdir("b")).toBeGreaterThan(0)
    expect(() => server.pause()).toThrow("full")
    expect(session.names()).toEqual(["a", "b"])
    server.restart()
    expect(session.names()).toEqual(["a", "b"])
  })

  test("keeps the room that is left for deleting", () => {
    using server = new TestServer()
    const session = new Session(server)
    session.mkdir("a")
    const node = session.mknod("f")
    failCommits(1)
    server.pause()
    expect(server.store.isTight).toBe(true)
    // As long as the reserve does not fit on the disk again.
    const take = vi.spyOn(Reserve.prototype, "takeIfThereIsRoom").mockReturnValue(false)
    expect(session.mkdir("b")).toBe(-E.ENOSPC)
    expect(session.write(node, 0, Buffer.from("x"))).toBe(-E.ENOSPC)
    expect(session.status(O.RMDIR, ROOT, [z("a")])).toBe(0)
    expect(session.status(O.UNLINK, ROOT, [z("f")])).toBe(0)
    take.mockRestore()
    expect(session.mkdir("b")).toBeGreaterThan(0)
    server.restart()
    expect(session.names()).toEqual(["b"])
  })
})

describe("a disk that has less left than the WAL owes", () => {
  const RECORD = Buffer.alloc(3000, "contents of a small file")

  /** Each commit writes its pages to the WAL anew. */
  function lengthenWal(server: TestServer, session: Session): number {
    for (let i = 0; walBytes(server) < 5 << 20; i += 1) {
      expect(session.write(session.mknod(`f${i}`), 0, RECORD)).toBe(0)
      server.pause()
    }
    return walBytes(server)
  }

  function walBytes(server: TestServer): number {
    return statSync(join(server.directory, "meta.db-wal")).size
  }

  test("gets back what a long WAL takes of it, before anything is refused", () => {
    using server = new TestServer()
    const session = new Session(server)
    lengthenWal(server, session)
    vi.spyOn(Reserve.prototype, "isShort").mockImplementation(() => walBytes(server) > 4 << 20)
    expect(session.mkdir("a")).toBeGreaterThan(0)
    server.pause()
    expect([server.store.isTight, walBytes(server)]).toEqual([false, 0])
    expect(session.mkdir("b")).toBeGreaterThan(0)
    server.restart()
    expect(session.names()).toEqual(expect.arrayContaining(["a", "b", "f0"]))
  })

  test("is tight when that does not help, or does not succeed; what was answered is committed all the same", () => {
    for (const fails of [false, true]) {
      using server = new TestServer()
      const session = new Session(server)
      lengthenWal(server, session)
      vi.spyOn(Reserve.prototype, "isShort").mockReturnValue(true)
      if (fails)
        vi.spyOn(Database.prototype, "checkpoint").mockImplementationOnce(() => {
          throw new Fault("io", "the disk below the store fails")
        })
      expect(session.mkdir("a")).toBeGreaterThan(0)
      server.pause()
      expect(server.store.isTight).toBe(true)
      vi.restoreAllMocks()
      server.restart()
      expect(session.names()).toEqual(expect.arrayContaining(["a", "f0"]))
    }
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

  test("while a batch has to be done again keeps that batch for later", () => {
    using server = new TestServer()
    const session = new Session(server)
    session.mkdir("before")
    const node = session.mknod("a")
    const data = Buffer.alloc(20_000, "answered ")
    expect(session.write(node, 0, data)).toBe(0)
    session.mkdir("behind")
    failCommits(1)
    disk.appends = 0
    expect(() => server.pause()).toThrow()
    disk.appends = undefined
    expect(session.mkdir("later")).toBeGreaterThan(0)
    server.restart()
    expect(session.names()).toEqual(["a", "before", "behind", "later"])
    expect(firstDifference(session.read(node), data)).toBe(-1)
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
