import { describe, expect, test } from "vitest"
import { E, OK, errnoName } from "../../../clawfs/core/errno.ts"
import { Fault, Rebuilt } from "../../../clawfs/core/fault.ts"
import { Opcode } from "../../../clawfs/fuse/abi.ts"
import { Flag } from "../../../clawfs/fuse/flags.ts"
import { ROWS } from "../../../clawfs/fuse/opcode.ts"
import type { Once, Replay } from "../../../clawfs/fuse/protocol.ts"
import { LATER, type Operations } from "../../../clawfs/fuse/operations.ts"
import type { Agreement } from "../../../clawfs/fuse/session.ts"
import { MADE, NO_REPLAY, attrOf, fakeOperations, wire } from "../support/operations.ts"
import { FIRST_UNIQUE, RESENT, request, validBody, words, z } from "../support/requests.ts"

const names = new Map<number, string>(Object.entries(Opcode).map(([name, number]) => [number, name]))
const SILENT: number[] = [Opcode.FORGET, Opcode.BATCH_FORGET]
const every = Array.from({ length: 61 }, (_, opcode) => opcode)

const throwing = (thrown: unknown): Partial<Operations> =>
  Object.fromEntries(
    Object.keys(fakeOperations().operations).map((name) => [
      name,
      (): never => {
        throw thrown
      },
    ]),
  )

describe("exactly one reply", () => {
  test.each(every.map((opcode) => [opcode, names.get(opcode) ?? "unknown"] as const))(
    "opcode %i (%s) gets one, as long as it says, with the request's unique",
    (opcode) => {
      const { send, log } = wire(fakeOperations().operations)
      const unique = 0xfedc_ba98_7654_3210n & ~RESENT
      const reply = send(request(opcode, validBody(opcode), { unique }))
      if (SILENT.includes(opcode)) {
        expect(reply).toBeUndefined()
        return
      }
      expect(reply?.unique).toBe(unique)
      expect(reply?.length).toBe(16 + (reply?.payload.length ?? 0))
      expect(reply?.error).toBe(ROWS.has(opcode) || opcode === Opcode.INIT ? 0 : -E.ENOSYS)
      expect(log.take()).toEqual([])
    },
  )

  test("every opcode that this version names is answered in some way that was thought of", () => {
    const open = Object.values(Opcode).filter((opcode) => !ROWS.has(opcode))
    const decided = [
      ...SILENT,
      Opcode.INIT,
      Opcode.FLUSH,
      Opcode.ACCESS,
      Opcode.INTERRUPT,
      Opcode.NOTIFY_REPLY,
    ]
    expect(new Set(open)).toEqual(new Set(decided))
    for (const [opcode, { name }] of ROWS) expect(names.get(opcode)).toBe(name)
  })

  test("an error reply has no payload, whatever the operation had written before", () => {
    const { send } = wire(
      fakeOperations({
        read: (_request, _range, reply) => {
          reply.advance(50)
          return E.EIO
        },
      }).operations,
    )
    expect(send(request(Opcode.READ, validBody(Opcode.READ)))).toMatchObject({ length: 16, error: -E.EIO })
  })

  test("an operation that says LATER gets its reply from another thread", () => {
    const { send } = wire(fakeOperations({ fsync: () => LATER, syncfs: () => LATER }).operations)
    for (const opcode of [Opcode.FSYNC, Opcode.FSYNCDIR, Opcode.SYNCFS])
      expect(send(request(opcode, validBody(opcode)))).toBeUndefined()
  })

  test("FORGET and BATCH_FORGET reach the filesystem with every count", () => {
    const { operations, calls } = fakeOperations()
    const { send } = wire(operations)
    send(request(Opcode.FORGET, [words(3n)], { node: 9 }))
    send(request(Opcode.BATCH_FORGET, [words(2, 0, 11n, 1n, 12n, 2n ** 60n)]))
    expect(calls.map(({ parameters }) => parameters)).toEqual([
      [9, 3],
      [11, 1],
      [12, Number.MAX_SAFE_INTEGER],
    ])
  })

  test("a BATCH_FORGET that promises more than it holds gives back what it holds and stays silent", () => {
    const { operations, calls } = fakeOperations()
    const { send, log } = wire(operations)
    expect(send(request(Opcode.BATCH_FORGET, [words(1000, 0, 11n, 1n)]))).toBeUndefined()
    expect(calls).toHaveLength(1)
    expect(log.take()).toEqual(["request failed"])
  })
})

describe("a request that can't be read", () => {
  test("is EINVAL when its body is too short, for every opcode that has one", () => {
    const { operations, calls } = fakeOperations()
    const { send } = wire(operations)
    for (const [opcode, { name }] of ROWS) {
      const body = Buffer.concat(validBody(opcode))
      // Readers that don't look at their body can't find it too short.
      const unread: number[] = [Opcode.GETATTR, Opcode.OPENDIR, Opcode.FSYNC, Opcode.FSYNCDIR, Opcode.SYNCFS]
      if (body.length === 0 || [...unread, Opcode.RELEASE, Opcode.RELEASEDIR].includes(opcode)) continue
      expect(send(request(opcode, [])), name).toMatchObject({ error: -E.EINVAL, length: 16 })
    }
    // LISTXATTR reads its size last; it changes nothing.
    expect(calls.filter(({ name }) => name !== "listxattr")).toEqual([])
  })

  test("is EINVAL when its name has no end", () => {
    const { send } = wire(fakeOperations().operations)
    expect(send(request(Opcode.LOOKUP, [Buffer.from("name")]))).toMatchObject({ error: -E.EINVAL })
  })

  test("never borrows bytes of the request before it", () => {
    const { operations, calls } = fakeOperations()
    const { send } = wire(operations)
    send(request(Opcode.LOOKUP, [z("a-long-name-of-another-request")]))
    expect(send(request(Opcode.LOOKUP, [Buffer.from("short")]))).toMatchObject({ error: -E.EINVAL })
    expect(calls).toHaveLength(1)
    const claims = words(0n, 0n, 5000, 0, 0n, 0, 0)
    expect(send(request(Opcode.WRITE, [claims, Buffer.from("few")]))).toMatchObject({ error: -E.EINVAL })
    expect(calls).toHaveLength(1)
  })

  test("is ESTALE when it names a node above 2^53, and the next one works", () => {
    const { send, log } = wire(fakeOperations().operations)
    const unique = 0x1234_5678_9abcn
    expect(
      send(request(Opcode.GETATTR, validBody(Opcode.GETATTR), { node: 2n ** 60n, unique })),
    ).toMatchObject({
      error: -E.ESTALE,
      unique,
    })
    expect(send(request(Opcode.FORGET, [words(1n)], { node: 2n ** 60n }))).toBeUndefined()
    expect(log.take()).toHaveLength(2)
    expect(send(request(Opcode.GETATTR, validBody(Opcode.GETATTR)))).toMatchObject({ error: 0 })
  })

  test("gets no reply when it is shorter than a header: nobody would know whom to answer", () => {
    const { protocol, log } = wire(fakeOperations().operations)
    for (const length of [0, 1, 39]) expect(protocol.handle(length)).toBe(0)
    expect(log.take()).toHaveLength(3)
  })
})

describe("a handler that throws", () => {
  const answerTo = (thrown: unknown): { errnos: Set<string>; messages: string[] } => {
    const { send, log } = wire(fakeOperations(throwing(thrown)).operations)
    const errnos = new Set<string>()
    for (const opcode of ROWS.keys()) {
      const reply = send(request(opcode, validBody(opcode)))
      if (opcode === Opcode.RELEASE || opcode === Opcode.RELEASEDIR || opcode === Opcode.OPENDIR) continue
      errnos.add(errnoName(-(reply?.error ?? 0)))
      expect(reply?.length).toBe(16)
    }
    return { errnos, messages: log.take() }
  }

  test("answers EIO for anything unknown, and logs it once each", () => {
    const { errnos, messages } = answerTo(new TypeError("x is undefined"))
    expect([...errnos]).toEqual(["EIO"])
    expect(messages).toEqual(Array(ROWS.size - 1).fill("request failed"))
  })

  test("answers EINVAL for a RangeError, ENOSPC for a full disk, EIO for damage", () => {
    expect([...answerTo(new RangeError("short")).errnos]).toEqual(["EINVAL"])
    expect([...answerTo(new Fault("no-space", "full")).errnos]).toEqual(["ENOSPC"])
    expect([...answerTo(new Fault("corrupt", "damaged")).errnos]).toEqual(["EIO"])
    expect([...answerTo("not even an error").errnos]).toEqual(["EIO"])
  })

  test("leaves nothing behind: the next request works and is whole", () => {
    let thrown = false
    const { send } = wire(
      fakeOperations({
        getattr: ({ node }) => {
          if (!thrown) {
            thrown = true
            throw new Error("once")
          }
          return attrOf(node)
        },
      }).operations,
    )
    expect(send(request(Opcode.GETATTR))).toMatchObject({ error: -E.EIO })
    expect(send(request(Opcode.GETATTR))).toMatchObject({ error: 0, length: 16 + 104 })
  })

  test("in FORGET, where nobody waits, is logged and nothing more", () => {
    const { send, log } = wire(fakeOperations(throwing(new Error("x"))).operations)
    expect(send(request(Opcode.FORGET, [words(1n)]))).toBeUndefined()
    expect(log.take()).toEqual(["request failed"])
  })

  test("for want of space is not logged: a log that grows does not help a full disk", () => {
    const { send, log } = wire(fakeOperations(throwing(new Fault("no-space", "full"))).operations)
    expect(send(request(Opcode.GETATTR))).toMatchObject({ error: -E.ENOSPC })
    expect(log.take()).toEqual([])
  })

  test("is logged with operation, node and errno; with a stack only when it is a bug", () => {
    const logged = (thrown: unknown): unknown => {
      const { send, log } = wire(
        fakeOperations({
          getattr: () => {
            throw thrown
          },
        }).operations,
      )
      send(request(Opcode.GETATTR, [], { node: 5 }))
      return log.lines[0]?.fields
    }
    expect(logged(new Fault("corrupt", "damaged"))).toEqual({
      op: "GETATTR",
      node: 5,
      errno: "EIO",
      reason: "damaged",
      stack: undefined,
    })
    expect(logged(new Error("oops"))).toMatchObject({
      reason: "oops",
      stack: expect.stringContaining("oops") as string,
    })
    expect(logged(new Fault("bug", "BUG: x"))).toMatchObject({
      stack: expect.stringContaining("BUG") as string,
    })
  })
})

describe("a request that has to begin again, because its batch was done again", () => {
  /** An operation that asks for that so many times, then succeeds. */
  const rebuiltBy = (times: number): { operations: Operations; seen: string[] } => {
    const seen: string[] = []
    const { operations } = fakeOperations({
      write: (_request, _offset, data) => {
        seen.push(data.toString())
        if (seen.length <= times) throw new Rebuilt("x")
        return OK
      },
    })
    return { operations, seen }
  }

  test("is read anew and executed anew, and nobody notices", () => {
    const { operations, seen } = rebuiltBy(1)
    const { send, log } = wire(operations)
    expect(send(request(Opcode.WRITE, validBody(Opcode.WRITE)))).toMatchObject({ error: 0, length: 24 })
    expect(seen).toEqual(["bytes", "bytes"])
    expect(log.take()).toEqual([])
  })

  test("fails in the end when that does not stop", () => {
    const { operations } = rebuiltBy(Infinity)
    const { send } = wire(operations)
    expect(send(request(Opcode.WRITE, validBody(Opcode.WRITE)))).toMatchObject({ error: -E.EIO, length: 16 })
    expect(send(request(Opcode.GETATTR))).toMatchObject({ error: 0 })
  })

  test("is as long as it came, whatever its header says", () => {
    for (const length of [0, 39, 40, 0xffff_ffff]) {
      const { operations, seen } = rebuiltBy(1)
      const message = request(Opcode.WRITE, validBody(Opcode.WRITE))
      message.writeUInt32LE(length, 0)
      expect(wire(operations).send(message)).toMatchObject({ error: 0 })
      expect(seen).toHaveLength(2)
    }
  })
})

describe("a resent request", () => {
  const once = [...ROWS].filter(([, row]) => row.once !== undefined)
  const repeated = [...ROWS].filter(([, row]) => row.once === undefined)
  /** What a record gives back for the requests of validBody. */
  const ANSWERS = (opcode: number): Record<Once, ReturnType<Replay["answer"]>> => ({
    entry: attrOf(MADE),
    status: OK,
    count: { count: opcode === Opcode.WRITE ? "bytes".length : 4096 },
  })

  test("that changed the tree is answered from its record and not executed again", () => {
    for (const [opcode, { name, once: kind }] of once) {
      const { operations, calls } = fakeOperations()
      const asked: unknown[] = []
      const { send } = wire(operations, {
        replay: {
          ...NO_REPLAY,
          answer: ({ uniqueHigh }, wanted) => {
            asked.push([uniqueHigh >>> 31, wanted])
            return ANSWERS(opcode)[wanted]
          },
        },
      })
      const reply = send(request(opcode, validBody(opcode), { unique: FIRST_UNIQUE | RESENT }))
      expect(reply, name).toMatchObject({ error: 0, unique: FIRST_UNIQUE | RESENT })
      expect(asked, name).toEqual([[1, kind]])
      expect(calls, name).toEqual([])
      const first = wire(fakeOperations().operations).send(request(opcode, validBody(opcode)))
      expect(reply?.payload, name).toEqual(first?.payload)
    }
  })

  test("that was never executed is executed now", () => {
    for (const [opcode, { name }] of once) {
      const { operations, calls } = fakeOperations()
      const { send } = wire(operations)
      expect(send(request(opcode, validBody(opcode), { unique: FIRST_UNIQUE | RESENT })), name).toMatchObject(
        { error: 0 },
      )
      expect(calls, name).toHaveLength(1)
    }
  })

  test("that can be repeated without harm is executed again, and no record is asked for", () => {
    for (const [opcode, { name }] of repeated) {
      let asked = 0
      const { send } = wire(fakeOperations().operations, {
        replay: {
          ...NO_REPLAY,
          answer: () => {
            asked += 1
            return OK
          },
        },
      })
      send(request(opcode, validBody(opcode), { unique: FIRST_UNIQUE | RESENT }))
      expect(asked, name).toBe(0)
    }
  })

  test("and any other has to wait while an earlier one can't be executed again; only FORGET does not", () => {
    const { operations, calls } = fakeOperations()
    const full = (): never => {
      throw new Fault("no-space", "the disk below the store is full")
    }
    const { send } = wire(operations, { replay: { ...NO_REPLAY, catchUp: full } })
    for (const opcode of [Opcode.GETATTR, Opcode.READ, Opcode.MKDIR])
      expect(send(request(opcode, validBody(opcode)))).toMatchObject({ error: -E.ENOSPC })
    expect(calls).toEqual([])
    send(request(Opcode.FORGET, validBody(Opcode.FORGET)))
    expect(calls).toHaveLength(1)
  })

  test("whose inode is gone since gets that as its answer", () => {
    const { send } = wire(fakeOperations().operations, { replay: { ...NO_REPLAY, answer: () => E.ESTALE } })
    const resent = request(Opcode.MKDIR, validBody(Opcode.MKDIR), { unique: FIRST_UNIQUE | RESENT })
    expect(send(resent)).toMatchObject({ error: -E.ESTALE })
  })

  test("is one that may not be executed twice: names, attributes, and bytes that depend on what is there", () => {
    expect(once.map(([, { name }]) => name).sort()).toEqual([
      ...[
        "COPY_FILE_RANGE",
        "COPY_FILE_RANGE_64",
        "CREATE",
        "LINK",
        "MKDIR",
        "MKNOD",
        "REMOVEXATTR",
        "RENAME",
      ],
      ...["RENAME2", "RMDIR", "SETXATTR", "SYMLINK", "TMPFILE", "UNLINK", "WRITE"],
    ])
  })
})

describe("what the agreement changes", () => {
  const options = { writeback: false, openIsAsked: false }

  test("without open checks OPEN and CREATE are ENOSYS: the kernel never asks again", () => {
    const { send } = wire(fakeOperations().operations, options)
    for (const opcode of [Opcode.OPEN, Opcode.CREATE])
      expect(send(request(opcode, validBody(opcode)))).toMatchObject({ error: -E.ENOSYS })
  })

  test("OPENDIR is always answered, and lets the kernel cache the listing where it gets a handle", () => {
    for (const openIsAsked of [false, true]) {
      for (const [handle, expected] of [
        [0, "0000000000000000" + "02000000" + "00000000"],
        [0x1_0000_0203, "0302000001000000" + "0a000000" + "00000000"],
      ] as const) {
        const { operations, calls } = fakeOperations({ opendir: () => handle })
        const { send } = wire(operations, { ...options, openIsAsked })
        const reply = send(request(Opcode.OPENDIR, validBody(Opcode.OPENDIR)))
        expect(reply).toMatchObject({ error: 0 })
        expect(reply?.payload.toString("hex")).toBe(expected)
        const body = Buffer.alloc(24)
        reply?.payload.copy(body, 0, 0, 8)
        send(request(Opcode.RELEASEDIR, [body]))
        expect(calls.at(-1)).toMatchObject({ name: "releasedir", parameters: [handle] })
      }
    }
  })

  test("INIT is told before its reply, and from then on SETXATTR has its long form", () => {
    const { operations, calls } = fakeOperations()
    const agreements: Agreement[] = []
    const { send } = wire(operations, { ...options, onAgreement: (agreed) => agreements.push(agreed) })
    const short = [words(5, 1), z("user.name"), Buffer.from("value")]
    const long = [words(5, 1, 1, 0), z("user.name"), Buffer.from("value")]
    send(request(Opcode.SETXATTR, short))
    expect(send(request(Opcode.INIT, validBody(Opcode.INIT)))).toMatchObject({ error: 0, length: 80 })
    send(request(Opcode.SETXATTR, long))
    expect(agreements).toHaveLength(1)
    expect((agreements[0]?.flags ?? 0n) & Flag.SETXATTR_EXT).toBe(Flag.SETXATTR_EXT)
    expect(calls.map(({ parameters }) => parameters.slice(1))).toEqual([
      [Buffer.from("user.name"), Buffer.from("value"), 1, 0],
      [Buffer.from("user.name"), Buffer.from("value"), 1, 1],
    ])
  })

  test("a resumed server keeps to what its predecessor agreed, not to its own options", () => {
    const resumed = { writeback: false, openIsAsked: true, minor: 45, flags: Flag.SETXATTR_EXT }
    const { operations, calls } = fakeOperations()
    const { send } = wire(operations, { ...options, resumed })
    expect(send(request(Opcode.OPEN, validBody(Opcode.OPEN)))).toMatchObject({ error: 0 })
    send(request(Opcode.SETXATTR, validBody(Opcode.SETXATTR)))
    expect(calls.at(-1)?.parameters[2]).toEqual(Buffer.from("value"))
  })
})
