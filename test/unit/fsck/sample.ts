/** A store with something of everything, closed, and copies of it to be damaged. */
import { cpSync, readdirSync } from "node:fs"
import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs"
import { join } from "node:path"
import type { Finding } from "../../../clawfs/fsck/finding.ts"
import { fsck, type FsckResult } from "../../../clawfs/fsck/fsck.ts"
import { Database, type Value } from "../../../clawfs/store/database.ts"
import { fillSums } from "../../../clawfs/store/row-sums.ts"
import { META, SEGMENTS } from "../../../clawfs/store/store.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { temporary, type Temporary } from "../support/temporary.ts"

/** FALLOC_FL_KEEP_SIZE */
const KEEP_SIZE = 1

export function fill(fs: TestFileSystem): void {
  const file = (path: string, bytes: number): number => {
    const { ino } = ok(fs.mknod(path))
    const data = Buffer.alloc(bytes, path)
    for (let at = 0; at < bytes; at += 131_072) fs.write(ino, at, data.subarray(at, at + 131_072))
    return ino
  }
  const small = file("/small", 5000)
  const big = file("/big", 300_000)
  fs.write(big, 300_000, Buffer.alloc(100, "tail"))
  fs.write(big, 8192, Buffer.alloc(4096, "middle"))
  ok(fs.mkdir("/dir"))
  ok(fs.mkdir("/dir/sub"))
  file("/dir/sub/deep", 200_000)
  file("/dir/one", 20_000)
  ok(fs.link("/dir/one", "/dir/two"))
  ok(fs.symlink("/link", "dir/sub/deep"))
  ok(fs.mknod("/fifo", 0o010644))
  file("/odd\n\xff name", 10)
  const reserved = ok(fs.mknod("/reserved")).ino
  fs.fs.fallocate(fs.request(reserved), KEEP_SIZE, 0, 1_000_000)
  fs.fs.setxattr(fs.request(small), Buffer.from("user.note"), Buffer.from("value"), 0, 0)
  const copy = ok(fs.mknod("/copy")).ino
  const request = fs.request(big)
  fs.store.transact(() => {
    const [source, target] = [fs.store.inodes.get(big), fs.store.inodes.get(copy)]
    if (source === undefined || target === undefined) throw new Error(`no inode for ${request.node}`)
    fs.store.contents.share(source, 0, target, 0, 300_100)
    fs.store.inodes.save(target)
  })
  fs.store.settle()
}

export class Sample implements Disposable {
  readonly #place: Temporary
  readonly directory: string

  constructor(source: string) {
    this.#place = temporary()
    this.directory = join(this.#place.path, "store")
    cpSync(source, this.directory, { recursive: true })
  }

  /** A new sample, built from the ground up. */
  static make(): Sample {
    using fs = new TestFileSystem()
    fill(fs)
    return Sample.of(fs)
  }

  /** What is in a store that is served; it must be settled. */
  static of(fs: TestFileSystem): Sample {
    const sample = new Sample(fs.directory)
    using db = new Database(join(sample.directory, META))
    db.checkpoint("TRUNCATE")
    return sample
  }

  copy(): Sample {
    return new Sample(this.directory)
  }

  /** Runs SQL that damages the database, as if that had been written: rows have checksums that fit them. */
  execute(sql: string): void {
    using db = new Database(join(this.directory, META))
    db.execute(sql)
    // What is left of some damaged databases has no room for checksums.
    if (db.query("SELECT 1 FROM sqlite_master WHERE name = 'xattr'").get() === undefined) return
    fillSums(db)
  }

  /** The same, behind the back of the checksums. */
  overwrite(sql: string): void {
    using db = new Database(join(this.directory, META))
    db.execute(sql)
  }

  rows<R extends Value[]>(sql: string): R[] {
    using db = new Database(join(this.directory, META), { readonly: true })
    return db.query<[], R>(sql).all()
  }

  number(sql: string): number {
    return this.rows<[number]>(sql)[0]?.[0] ?? NaN
  }

  /** The inode that a name in some directory stands for. */
  ino(name: string): number {
    return this.number(`SELECT ino FROM dentry WHERE name = CAST('${name}' AS BLOB)`)
  }

  segment(): string {
    const [name = ""] = readdirSync(join(this.directory, SEGMENTS))
    return join(this.directory, SEGMENTS, name)
  }

  /** Changes bits of one byte of the only segment; the same again puts them back. */
  flip(position: number, bits = 0x10): void {
    const fd = openSync(this.segment(), "r+")
    const byte = Buffer.alloc(1)
    if (position >= fstatSync(fd).size) throw new Error(`the segment has no byte ${position}`)
    readSync(fd, byte, 0, 1, position)
    byte.writeUInt8(byte.readUInt8() ^ bits)
    writeSync(fd, byte, 0, 1, position)
    closeSync(fd)
  }

  check(isOnline = false): FsckResult {
    return fsck({ directory: this.directory, isOnline, repair: false })
  }

  repair(): FsckResult {
    return fsck({ directory: this.directory, isOnline: false, repair: true })
  }

  [Symbol.dispose](): void {
    this.#place[Symbol.dispose]()
  }
}

/** Findings that are not mended, as "kind path: message". */
export function errors({ findings }: FsckResult): string[] {
  return findings.filter(({ severity, repaired }) => severity === "error" && !repaired).map(textOf)
}

export function textOf({ kind, path, range, message }: Finding): string {
  const bytes = range === undefined ? "" : ` ${range.offset}+${range.length}`
  return `${kind} ${path ?? "?"}${bytes}: ${message}`
}
