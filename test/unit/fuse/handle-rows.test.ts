/** Filesystems whose openings mean something: handles go out, come back with each request, and nothing is cached. */
import { expect, test } from "vitest"
import { present } from "../../../clawfs/core/assert.ts"
import { E, OK } from "../../../clawfs/core/errno.ts"
import { FOPEN_DIRECT_IO, Opcode } from "../../../clawfs/fuse/abi.ts"
import { HANDLE_ROWS } from "../../../clawfs/fuse/handle-rows.ts"
import { ROWS } from "../../../clawfs/fuse/opcode.ts"
import type { Handles } from "../../../clawfs/fuse/operations.ts"
import { attrOf, fakeOperations, wire } from "../support/operations.ts"
import { request } from "../support/requests.ts"

const HANDLE = 77
const NODE = 5n
const u32 = (value: number): Buffer => fixed(4, value)
const u64 = (value: number): Buffer => fixed(8, value)

function fixed(bytes: number, value: number): Buffer {
  const out = Buffer.alloc(bytes)
  out.writeUInt32LE(value)
  return out
}

function handlesThat(seen: unknown[]): Handles {
  return {
    open: ({ node }, flags) => (seen.push(["open", node, flags]), { handle: HANDLE }),
    create: (_, name, { flags }) => (
      seen.push(["create", name.toString(), flags]),
      { attr: attrOf(Number(NODE)), handle: HANDLE }
    ),
    read: (handle, { offset, size }, reply) => {
      seen.push(["read", handle, offset, size])
      reply.writer.put(Buffer.from("bytes"))
      return OK
    },
    write: (handle, offset, data) => (seen.push(["write", handle, offset, data.toString()]), OK),
    flush: (handle) => (seen.push(["flush", handle]), E.ENOSPC),
    release: (handle) => void seen.push(["release", handle]),
  }
}

test("requests on an opening carry its handle, and their answers are the handler's", () => {
  const seen: unknown[] = []
  const { operations } = fakeOperations()
  const protocol = wire({ ...operations, handles: handlesThat(seen) })
  const send = (message: Buffer) => present(protocol.send(message), "reply")
  const opened = send(request(Opcode.OPEN, [u32(0o100001), u32(0)], { node: NODE }))
  expect(opened.error).toBe(0)
  expect([opened.payload.readBigUInt64LE(0), opened.payload.readUInt32LE(8)]).toEqual([77n, FOPEN_DIRECT_IO])
  const made = send(
    request(Opcode.CREATE, [u32(0o101), u32(0o600), u32(0), u32(0), Buffer.from("new\0")], { node: NODE }),
  )
  expect(made.error).toBe(0)
  expect(made.payload.readBigUInt64LE(made.payload.length - 16)).toBe(77n)
  const io = [u64(HANDLE), u64(3), u32(5), u32(0), u64(0), u32(0), u32(0)]
  expect(send(request(Opcode.READ, io, { node: NODE })).payload.toString()).toBe("bytes")
  const written = send(request(Opcode.WRITE, [...io, Buffer.from("hello")], { node: NODE }))
  expect([written.error, written.payload.readUInt32LE(0)]).toEqual([0, 5])
  const end = [u64(HANDLE), u32(0), u32(0), u64(0)]
  expect(send(request(Opcode.FLUSH, end, { node: NODE })).error).toBe(-E.ENOSPC)
  expect(send(request(Opcode.RELEASE, end, { node: NODE })).error).toBe(0)
  expect(seen).toEqual([
    ["open", 5, 0o100001],
    ["create", "new", 0o101],
    ["read", HANDLE, 3, 5],
    ["write", HANDLE, 3, "hello"],
    ["flush", HANDLE],
    ["release", HANDLE],
  ])
})

test("they have a row for everything that others have, and FLUSH", () => {
  expect([...ROWS.keys()].filter((opcode) => !HANDLE_ROWS.has(opcode))).toEqual([])
  expect([ROWS.has(Opcode.FLUSH), HANDLE_ROWS.has(Opcode.FLUSH)]).toEqual([false, true])
})
