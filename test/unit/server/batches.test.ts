import { spawn } from "node:child_process"
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, describe, expect, test, vi } from "vitest"
import { E } from "../../../clawfs/core/errno.ts"
import { Fault } from "../../../clawfs/core/fault.ts"
import { Opcode } from "../../../clawfs/fuse/abi.ts"
import { InodeFlag } from "../../../clawfs/store/inode.ts"
import { encodeJournalHeader } from "../../../clawfs/store/journal-header.ts"
import { META } from "../../../clawfs/store/store.ts"
import { requirePrograms, skipIf } from "../support/requirements.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { resent, words, z } from "../support/requests.ts"
import { KILLED, TestServer } from "../support/server.ts"
import { ROOT, Session, errorOf, nodeOf } from "../support/session.ts"

const O = Opcode

afterEach(() => {
  vi.restoreAllMocks()
})

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

  test("is the same when it is done again, even where it depended on a program that is gone", async (context) => {
    skipIf(context, requirePrograms("setpriv"), process.getuid?.() === 0 ? undefined : "not root")
    using server = new TestServer()
    const session = new Session(server)
    const node = session.mknod("a", 0o102640)
    const GID = 1 << 2
    const chgrp = words(GID, 0, 0n, 0n, 0n, 0n, 0n, 0n, 0, 0, 0, 0, 0, 0, 2000, 0)
    expect(session.status(O.SETATTR, node, [chgrp])).toBe(0)
    const MODE = 1 << 0
    const setgid = words(MODE, 0, 0n, 0n, 0n, 0n, 0n, 0n, 0, 0, 0, 0o2640, 0, 0, 0, 0)
    expect(session.status(O.SETATTR, node, [setgid])).toBe(0)
    const member = spawn("setpriv", ["--groups", "2000", "sh", "-c", "echo ready; read line"])
    await new Promise((resolve) => member.stdout.once("data", resolve))
    const KILL_SUIDGID = 1 << 2
    const caller = { uid: 1000, gid: 1000, pid: member.pid ?? 0 }
    expect(session.write(node, 0, Buffer.from("x"), caller, KILL_SUIDGID)).toBe(0)
    const mode = (): number => (server.store.inodes.get(node)?.mode ?? 0) & 0o7777
    expect(mode()).toBe(0o2640)
    member.stdin.end()
    await new Promise((resolve) => member.once("exit", resolve))
    server.restart()
    expect(mode()).toBe(0o2640)
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
    const bootId = "00000000-0000-0000-0000-000000000000"
    encodeJournalHeader({ bootId, flags: 0n, nonce: bytes.readUInt32LE(52) }).copy(bytes)
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
