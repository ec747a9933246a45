/** The sample with copies of it, of two generations, and with trees in trees. */
import { createSnapshot } from "../../../clawfs/fs/snapshots.ts"
import { TestFileSystem, ok } from "../support/filesystem.ts"
import { Sample, fill } from "./sample.ts"

/** The inode at a path, in SQL. */
export function inodeAt(path: string): string {
  return path
    .split("/")
    .reduce(
      (parent, name) =>
        `(SELECT ino FROM dentry WHERE parent = ${parent} AND name = CAST('${name}' AS BLOB))`,
      "1",
    )
}

/** Changes the inode at a path. */
export function setAt(path: string, assignment: string): string {
  return `UPDATE inode SET ${assignment} WHERE ino = ${inodeAt(path)}`
}

/**
 * `first` is a read-only snapshot of the root of the sample. Then `/small` was written to, `/big` deleted and `/dir/one`
 * emptied. `second` is a writable one, in which `deep` has got another end. `/outer` and `/outer/inner` are trees.
 */
export function makeCopiesSample(): Sample {
  using fs = new TestFileSystem()
  fill(fs)
  ok(fs.mknod("/empty"))
  createSnapshot(fs.env, { name: "first", path: Buffer.from("/"), isWritable: false })
  fs.write(fs.at("/small").ino, 100, "written")
  const big = fs.at("/big").ino
  fs.unlink("/big")
  fs.fs.forget(big, 1000)
  fs.store.settle()
  ok(fs.setattr(fs.at("/dir/one").ino, { size: 0 }))
  createSnapshot(fs.env, { name: "second", path: Buffer.from("/"), isWritable: true })
  fs.write(fs.at("/.snapshots/second/dir/sub/deep").ino, 200_000, Buffer.alloc(5000, "end"))
  fs.write(fs.at("/.snapshots/second/empty").ino, 0, "no more")
  fillTree(fs, "/outer", 0, 1000)
  fillTree(fs, "/outer/inner", fs.at("/outer").ino, 31_000)
  ok(fs.link("/outer/sub/file", "/outer/linked"))
  fs.store.settle()
  return Sample.of(fs)
}

function fillTree(fs: TestFileSystem, path: string, parent: number, bytes: number): void {
  ok(fs.mkdir(path))
  makeTree(fs, path, parent)
  ok(fs.mkdir(`${path}/sub`))
  fs.write(ok(fs.mknod(`${path}/sub/file`)).ino, 0, Buffer.alloc(bytes, path))
}

/** Makes an empty directory the top of a tree. */
function makeTree(fs: TestFileSystem, path: string, parent: number): void {
  const inode = fs.store.inodes.get(fs.at(path).ino)
  if (inode === undefined) throw new Error(`no inode at ${path}`)
  fs.store.transact(() => {
    fs.store.trees.charge(parent, 0, parent === inode.tree ? 0 : 1)
    const row = { flags: 0, key: 0, limitBytes: 1e9, limitInodes: 0, usedBytes: 0, usedInodes: 1 }
    fs.store.trees.save({ id: inode.ino, parent, ...row })
    inode.tree = inode.ino
    fs.store.inodes.save(inode)
  })
  fs.store.commit()
}
