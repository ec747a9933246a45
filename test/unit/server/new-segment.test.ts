/** A segment that can't be begun, on a disk that then does not even remove what it has of it. */
import type { PathLike } from "node:fs"
import { afterEach, expect, test, vi } from "vitest"
import { E } from "../../../clawfs/core/errno.ts"
import { Opcode } from "../../../clawfs/fuse/abi.ts"
import { SEGMENT_HEADER } from "../../../clawfs/store/log-scan.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { words, z } from "../support/requests.ts"
import { ROOT, Session } from "../support/session.ts"
import { TestServer } from "../support/server.ts"

const disk = vi.hoisted((): { failure: (() => number) | undefined } => ({ failure: undefined }))

vi.mock(import("node:fs"), async (original) => {
  const real = await original()
  return {
    ...real,
    // Of all that is written through Node, a segment's header alone is of that length.
    writeSync: ((fd: number, bytes: Buffer, ...more: number[]) =>
      disk.failure !== undefined && bytes.length === SEGMENT_HEADER
        ? disk.failure()
        : real.writeSync(fd, bytes, ...more)) as typeof real.writeSync,
    unlinkSync: (path: PathLike) => {
      if (disk.failure !== undefined) throw failed("EIO")
      real.unlinkSync(path)
    },
  }
})

const failed = (code: "EIO" | "ENOSPC"): Error => Object.assign(new Error(`${code}: failed, write`), { code })

afterEach(() => {
  disk.failure = undefined
})

test.each([
  [
    "the header can't be written",
    () => {
      throw failed("ENOSPC")
    },
    E.ENOSPC,
  ],
  ["the header is not written whole", () => SEGMENT_HEADER / 2, E.ENOSPC],
  [
    "the disk fails",
    () => {
      throw failed("EIO")
    },
    E.EIO,
  ],
] as const)("%s: writing goes on when the disk is well again", (_, failure, errno) => {
  using server = new TestServer()
  const session = new Session(server)
  const node = session.entry(Opcode.MKNOD, ROOT, [words(0o100644, 0, 0, 0), z("file")])
  const data = Buffer.alloc(100_000, 7)
  disk.failure = failure
  expect(session.write(node, 0, data)).toBe(-errno)
  disk.failure = undefined
  expect(session.write(node, 0, data)).toBe(0)
  expect(session.read(node)).toEqual(data)
  server.store.commit()
  server.settle()
  expect(brokenInvariants(server.directory)).toEqual([])
})
