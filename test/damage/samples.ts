/** Small stores with something of everything: one that was unmounted, and one whose daemon was killed. */
import { join } from "node:path"
import { Opcode } from "../../clawfs/fuse/abi.ts"
import { Database } from "../../clawfs/store/database.ts"
import { META } from "../../clawfs/store/store.ts"
import { words, z } from "../unit/support/requests.ts"
import { TestServer } from "../unit/support/server.ts"
import { Session } from "../unit/support/session.ts"
import { readImage, type Image } from "./image.ts"

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

/** A store that was unmounted: no WAL; the journal of its last mount is there and void. */
export function closedStore(): Image {
  using server = new TestServer({ isFirst: true })
  const maker = new Maker(server)
  maker.everything()
  server.pause()
  server.settle()
  server.store.checkpointInline()
  {
    using db = new Database(join(server.directory, META))
    db.checkpoint("TRUNCATE")
  }
  const image = new Map(readImage(server.directory))
  for (const suffix of ["-wal", "-shm"]) image.delete(META + suffix)
  return image
}

/** A store as SIGKILL of the daemon leaves it: commits in the WAL, answered requests in the journal alone. */
export function killedStore(): Image {
  using server = new TestServer({ isFirst: true })
  const maker = new Maker(server)
  const before = maker.directory(ROOT, "before")
  maker.file(before, "kept", [0, 900])
  server.pause()
  server.settle()
  {
    using db = new Database(join(server.directory, META))
    db.checkpoint("TRUNCATE")
  }
  for (const name of ["one", "two"]) {
    const ino = maker.file(before, name, [0, 5000], [20_000, 4096])
    maker.attribute(ino, "user.note", Buffer.from(name))
    server.pause()
  }
  maker.file(ROOT, "empty")
  server.pause()
  maker.more()
  return readImage(server.directory)
}
