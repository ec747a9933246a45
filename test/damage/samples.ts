/**
 * Small stores with something of everything, and some with encrypted trees: each as unmounting leaves it, and as killing
 * the daemon does.
 */
import { join } from "node:path"
import { Opcode } from "../../clawfs/fuse/abi.ts"
import { createSnapshot } from "../../clawfs/fs/snapshots.ts"
import { setSchedule } from "../../clawfs/fs/schedules.ts"
import { Database } from "../../clawfs/store/database.ts"
import { META } from "../../clawfs/store/store.ts"
import { encrypt } from "../unit/support/encryption.ts"
import { words, z } from "../unit/support/requests.ts"
import { TestServer } from "../unit/support/server.ts"
import { Session } from "../unit/support/session.ts"
import { readImage, type Image } from "./image.ts"
import { keySource } from "./secret.ts"

const O = Opcode
const ROOT = 1
/** FALLOC_FL_KEEP_SIZE */
const KEEP_SIZE = 1

/** Bytes that differ everywhere, so that a wrong place is never the right bytes. */
function bytesOf(length: number, key: number): Buffer {
  const out = Buffer.alloc(length)
  for (let i = 0, x = key * 7919 + 1; i < length; i += 1) {
    x = (Math.imul(x, 1_103_515_245) + 12_345) | 0
    out[i] = x >>> 16
  }
  return out
}

class Maker {
  readonly server: TestServer
  readonly session: Session
  #key = 1

  constructor(server: TestServer) {
    this.server = server
    this.session = new Session(server)
    this.session.init()
  }

  file(
    parent: number,
    name: string,
    ...pieces: readonly (readonly [offset: number, length: number])[]
  ): number {
    const ino = this.session.entry(O.MKNOD, parent, [words(0o100644, 0, 0, 0), z(name)])
    for (const [offset, length] of pieces) {
      this.#key += 1
      this.session.write(ino, offset, bytesOf(length, this.#key))
    }
    return ino
  }

  directory(parent: number, name: string): number {
    return this.session.entry(O.MKDIR, parent, [words(0o755, 0), z(name)])
  }

  attribute(ino: number, name: string, value: Buffer): void {
    this.#ok(this.session.status(O.SETXATTR, ino, [words(value.length, 0, 0, 0), z(name), value]))
  }

  share(source: number, target: number, length: number): void {
    const range = [words(0n, 0n, BigInt(target), 0n, 0n, BigInt(length), 0n)]
    this.#ok(this.session.status(O.COPY_FILE_RANGE, source, range))
  }

  #ok(status: number): void {
    if (status !== 0) throw new Error(`a request for the sample failed: ${status}`)
  }

  everything(): void {
    const { session } = this
    const small = this.file(ROOT, "small", [0, 700])
    this.file(ROOT, "inline", [0, 5000])
    this.file(ROOT, "empty")
    const log = this.file(ROOT, "log", [0, 17_000], [17_000, 300])
    const sparse = this.file(ROOT, "sparse", [60_000, 4500], [200_000, 90])
    const dir = this.directory(ROOT, "dir")
    const sub = this.directory(dir, "sub")
    this.directory(ROOT, "hollow")
    const deep = this.file(sub, "deep", [0, 6000], [20_000, 4100])
    this.#ok(session.status(O.FALLOCATE, deep, [words(0n, 40_000n, 9000n, KEEP_SIZE, 0)]))
    session.entry(O.LINK, dir, [words(BigInt(small)), z("again")])
    session.entry(O.SYMLINK, ROOT, [z("link"), z("dir/sub/deep")])
    session.entry(O.SYMLINK, dir, [z("long-link"), z(`/${"long/".repeat(60)}`)])
    session.entry(O.MKNOD, dir, [words(0o010644, 0, 0, 0), z("fifo")])
    session.entry(O.MKNOD, dir, [words(0o020600, 0x103, 0, 0), z("device")])
    this.attribute(small, "user.note", Buffer.from("remember"))
    this.attribute(dir, "user.a", bytesOf(120, 77))
    this.attribute(dir, "user.b", Buffer.alloc(0))
    const copy = this.file(sub, "copy")
    this.share(log, copy, 17_000)
    const part = this.file(sub, "part")
    this.share(sparse, part, 62_000)
    for (let i = 0; i < 30; i += 1) this.file(dir, `number ${i}`, [0, 20 + i])
    session.write(log, 4096, bytesOf(4096, 99))
    const gone = this.file(ROOT, "gone", [0, 5000])
    if (gone < 0) throw new Error("no file to remove")
    this.#ok(session.status(O.UNLINK, ROOT, [z("gone")]))
    session.forget(gone)
  }

  /** A snapshot, and what became of the files that it was made of. */
  snapshot(path: string): void {
    const { server } = this
    server.pause()
    createSnapshot(server.env, { name: "first", path: Buffer.from(path), isWritable: false })
    setSchedule(server.env, { name: "daily", path: Buffer.from(path), every: 86_400, keep: 3 })
  }

  kept(): void {
    const kept = this.directory(ROOT, "kept")
    this.file(kept, "small", [0, 600])
    this.file(kept, "big", [0, 30_000])
    const changed = this.file(kept, "changed", [0, 900])
    this.snapshot("/kept")
    this.session.write(changed, 100, bytesOf(50, 3))
  }

  sealed(): void {
    const { server, session } = this
    this.file(ROOT, "plain", [0, 700])
    const sealed = this.directory(ROOT, "sealed")
    server.pause()
    encrypt(server.store, sealed, keySource)
    const small = this.file(sealed, "small", [0, 600])
    this.file(sealed, "big", [0, 30_000], [60_000, 400])
    const changed = this.file(sealed, "changed", [0, 900])
    const sub = this.directory(sealed, "sub")
    this.file(sub, "deep", [0, 5000])
    session.entry(O.SYMLINK, sub, [z("link"), z("../small")])
    this.attribute(small, "user.note", Buffer.from("remember"))
    this.snapshot("/sealed")
    session.write(changed, 100, bytesOf(50, 3))
    for (let i = 0; i < 5; i += 1) this.file(sub, `number ${i}`, [0, 20 + i])
  }

  /** What happens between the last commit and the kill. */
  more(): void {
    const { session } = this
    const late = this.file(ROOT, "late", [0, 2000])
    this.file(ROOT, "late-too", [0, 9000], [30_000, 5000])
    this.#ok(session.status(O.RENAME2, ROOT, [words(1n, 0, 0), z("empty"), z("renamed")]))
    this.attribute(late, "user.late", Buffer.from("value"))
    session.write(late, 1000, bytesOf(300, 5))
  }
}

type Fill = (maker: Maker) => void

/** A store that was unmounted: no WAL; the journal of its last mount is there and void. */
function closed(fill: Fill): Image {
  using server = new TestServer({ isFirst: true })
  fill(new Maker(server))
  server.pause()
  server.settle()
  server.store.checkpointInline()
  checkpoint(server)
  const image = new Map(readImage(server.directory))
  for (const suffix of ["-wal", "-shm"]) image.delete(META + suffix)
  return image
}

/** A store as SIGKILL of the daemon leaves it: commits in the WAL, answered requests in the journal alone. */
function killed(before: Fill, after: Fill): Image {
  using server = new TestServer({ isFirst: true })
  const maker = new Maker(server)
  before(maker)
  server.pause()
  server.settle()
  checkpoint(server)
  after(maker)
  server.pause()
  maker.more()
  return readImage(server.directory)
}

function checkpoint({ directory }: TestServer): void {
  using db = new Database(join(directory, META))
  db.checkpoint("TRUNCATE")
}

/** As small as one can be that has something of most kinds, so that every byte of it can be tried. */
export function smallStore(): Image {
  return closed((maker) => {
    maker.kept()
    const late = maker.file(ROOT, "late", [0, 40])
    maker.attribute(late, "user.note", Buffer.from("value"))
    maker.session.entry(O.SYMLINK, ROOT, [z("link"), z("late")])
  })
}

/** All samples by what they are. */
export const SAMPLES: Readonly<Record<string, () => Image>> = {
  "that was unmounted": () =>
    closed((maker) => {
      maker.everything()
      maker.kept()
    }),
  "whose daemon was killed": () => {
    let before = 0
    return killed(
      (maker) => {
        before = maker.directory(ROOT, "before")
        maker.file(before, "kept", [0, 900])
      },
      (maker) => {
        for (const name of ["one", "two"]) {
          const ino = maker.file(before, name, [0, 5000], [20_000, 4096])
          maker.attribute(ino, "user.note", Buffer.from(name))
          maker.server.pause()
        }
        maker.kept()
        maker.file(ROOT, "empty")
      },
    )
  },
  "with an encrypted tree that was unmounted": () => closed((maker) => maker.sealed()),
  "with an encrypted tree whose daemon was killed": () =>
    killed(
      (maker) => maker.file(ROOT, "before", [0, 900]),
      (maker) => {
        maker.sealed()
        maker.file(ROOT, "empty")
      },
    ),
}
