import { fc } from "../support/fast-check.ts"
import { describe, expect, test } from "vitest"
import type { NodeId } from "../../../clawfs/core/brand.ts"
import { Size, type Attr } from "../../../clawfs/fuse/abi.ts"
import { DirentPacker } from "../../../clawfs/fuse/dirent.ts"
import { Reply } from "../../../clawfs/fuse/reply.ts"
import { unpack } from "../support/requests.ts"

const HEADER = Size.outHeader
const TTL = 100

function attrOf(ino: number): Attr {
  const times = {
    atime: 1,
    mtime: 2,
    ctime: 3,
    btime: 4,
    atimeNanos: 5,
    mtimeNanos: 6,
    ctimeNanos: 7,
    btimeNanos: 8,
  }
  return {
    ino: ino as NodeId,
    size: 9,
    blocks: 8,
    mode: 0o100644,
    nlink: 1,
    uid: 2,
    gid: 3,
    rdev: 0,
    ...times,
  }
}

function packer(size: number, plus: boolean, capacity = 1 << 20): { reply: Reply; packer: DirentPacker } {
  const reply = new Reply(Buffer.alloc(capacity, 0xee))
  reply.reset()
  return { reply, packer: new DirentPacker(reply, size, plus, TTL) }
}

const name = fc.uint8Array({ min: 1, minLength: 1, maxLength: 255 }).map((bytes) => Buffer.from(bytes))

describe.each([false, true])("a listing (plus: %s)", (plus) => {
  const head = plus ? Size.direntplus : Size.dirent

  test("gives back every entry that was added, in order, each at a multiple of 8", () => {
    fc.assert(
      fc.property(fc.array(name, { maxLength: 30 }), (names) => {
        const { reply, packer: p } = packer(1 << 20, plus)
        names.forEach((each, i) => expect(p.add(each, 100 + i, 8, 5000 + i, attrOf(100 + i))).toBe(true))
        const entries = unpack(reply.buffer.subarray(HEADER, reply.start), plus)
        expect(entries).toEqual(
          names.map((each, i) => ({
            name: each.toString("latin1"),
            ino: 100 + i,
            type: 8,
            cookie: 5000 + i,
            node: plus ? 100 + i : 0,
          })),
        )
        expect((reply.start - HEADER) % 8).toBe(0)
      }),
      { numRuns: 50 },
    )
  })

  test("stops at the kernel's size exactly: an entry that just fits is taken, the next is not", () => {
    for (let length = 1; length <= 24; length += 1) {
      const entry = Math.ceil((head + length) / 8) * 8
      const at = (size: number): boolean[] => {
        const { reply, packer: p } = packer(size, plus)
        const start = reply.start
        const fits = p.add(Buffer.alloc(length, 0x61), 5, 8, 6, attrOf(5))
        expect(reply.start - start).toBe(fits ? entry : 0)
        return [fits, p.add(Buffer.alloc(length, 0x62), 5, 8, 6, attrOf(5))]
      }
      expect(at(entry - 1)).toEqual([false, false])
      expect(at(entry)).toEqual([true, false])
    }
  })

  test("an entry that does not fit leaves no byte behind", () => {
    const { reply, packer: p } = packer(head + 7, plus)
    expect(p.add(Buffer.alloc(8, 0x61), 5, 8, 6, attrOf(5))).toBe(false)
    expect(reply.start).toBe(HEADER)
    expect(reply.buffer.subarray(HEADER).every((byte) => byte === 0xee)).toBe(true)
  })

  test("never grows beyond the reply buffer, whatever size the kernel asks for", () => {
    const { reply, packer: p } = packer(0xffff_ffff, plus, 1000)
    let added = 0
    while (p.add(Buffer.from("abc"), 5, 8, 6, attrOf(5))) added += 1
    expect(added).toBe(Math.floor((1000 - HEADER) / (Math.ceil((head + 3) / 8) * 8)))
    expect(reply.start).toBeLessThanOrEqual(1000)
  })

  test("a size that holds no entry at all gives an empty listing", () => {
    const { reply, packer: p } = packer(0, plus)
    expect(p.add(Buffer.from("a"), 5, 8, 6, attrOf(5))).toBe(false)
    expect(reply.start).toBe(HEADER)
  })
})

test("in a plus listing an entry without attributes hands out no node", () => {
  const { reply, packer: p } = packer(4096, true)
  p.add(Buffer.from("."), 17, 4, 1)
  expect(unpack(reply.buffer.subarray(HEADER, reply.start), true)).toEqual([
    { name: ".", ino: 17, type: 4, cookie: 1, node: 0 },
  ])
})
