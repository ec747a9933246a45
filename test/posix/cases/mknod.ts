import { O, S } from "../abi.ts"
import { type Case, type Test, DEVICE } from "../check.ts"
import { TEAM } from "../crew.ts"
import { pathCases } from "../path-cases.ts"
import { probesOf } from "../probes.ts"

const ST_NODEV = 4
const AF_UNIX = 1
const SOCK_STREAM = 1
const types = { regular: S.IFREG, fifo: S.IFIFO, socket: S.IFSOCK, block: S.IFBLK, char: S.IFCHR } as const
type NodeType = keyof typeof types
const all = Object.entries(types) as [NodeType, number][]

/** The kernel's 32-bit form: 12 bits of major, 20 bits of minor. */
function device(major: number, minor: number): number {
  return (minor & 0xff) | (major << 8) | ((minor & 0xfff00) << 12)
}

const making: readonly Case[] = all.flatMap(([name, type]) => [
  {
    name: `a ${name} has the mode asked for without the umask, no content and one link`,
    run: (t) => {
      let count = 0
      for (const umask of [0, 0o022, 0o077, 0o151])
        for (const mode of [0, 0o151, 0o644, 0o777, 0o7777]) {
          t.ok(t.root.umask(umask))
          const path = String(count++)
          t.ok(t.root.mknod(path, type | mode, DEVICE))
          const { mode: got, size, nlink, uid, gid } = t.lstat(path)
          t.equal(got, type | (mode & ~umask), `${mode.toString(8)} & ~${umask.toString(8)}`)
          t.equal(`${size} ${nlink} ${uid}:${gid}`, "0 1 0:0", "size, links, owner")
        }
    },
  },
  {
    name: `a ${name} in a set-group-id directory gets that group`,
    run: (t) => {
      t.dir("d", { mode: 0o2777, owned: "owner" })
      t.ok(t.root.mknod("d/x", type | 0o644, DEVICE))
      t.equal(`${t.lstat("d/x").uid}:${t.lstat("d/x").gid}`, `0:${TEAM}`, "owner")
      t.equal(t.lstat("d/x").perm, 0o644, "mode")
    },
  },
  {
    name: `a ${name} is stamped with the time of its making, and so is its directory`,
    run: (t) => {
      const before = t.tick()
      t.ok(t.root.mknod("x", type | 0o644, DEVICE))
      const { atime, mtime, ctime } = t.lstat("x")
      for (const time of [atime, mtime, ctime, t.lstat(".").mtime, t.lstat(".").ctime])
        t.that(time >= before && time <= t.now(), "stamp outside of the call")
    },
  },
])

const semantics: readonly Case[] = [
  {
    name: "devices keep their major and minor numbers, of up to 12 and 20 bits",
    run: (t) => {
      for (const [index, [major, minor]] of [
        [0, 1],
        [1, 3],
        [8, 255],
        [255, 256],
        [4095, 0xfffff],
      ].entries()) {
        for (const kind of ["block", "char"] as const) {
          t.ok(t.root.mknod(`${kind}${index}`, types[kind] | 0o600, device(major ?? 0, minor ?? 0)))
          t.equal(t.lstat(`${kind}${index}`).rdev, `${major}:${minor}`, "device")
        }
      }
    },
  },
  {
    name: "what is no device has no device number, whatever was asked for",
    run: (t) => {
      for (const kind of ["regular", "fifo", "socket"] as const) {
        t.ok(t.root.mknod(kind, types[kind] | 0o600, device(8, 1)))
        t.equal(t.lstat(kind).rdev, "0:0", `device of a ${kind}`)
      }
    },
  },
  {
    name: "a user cannot make devices: EPERM; but fifos, sockets, files, and the whiteout 0:0",
    run: (t) => {
      t.fails("EPERM", t.owner.mknod("block", S.IFBLK | 0o600, device(8, 1)))
      t.fails("EPERM", t.owner.mknod("char", S.IFCHR | 0o600, device(1, 3)))
      for (const path of ["block", "char"]) t.fails("ENOENT", t.root.lstat(path))
      for (const kind of ["regular", "fifo", "socket"] as const)
        t.succeeds(t.owner.mknod(kind, types[kind] | 0o600))
      t.succeeds(t.owner.mknod("whiteout", S.IFCHR | 0o600, 0))
      t.equal(t.lstat("fifo").uid, 71001, "owner of the fifo")
    },
  },
  {
    name: "no type at all means a regular file; a directory is EPERM, a symbolic link or nonsense EINVAL",
    run: (t) => {
      t.succeeds(t.root.mknod("x", 0o640))
      t.equal(t.lstat("x").mode, S.IFREG | 0o640, "mode")
      t.fails("EPERM", t.root.mknod("d", S.IFDIR | 0o755))
      t.fails("EINVAL", t.root.mknod("s", S.IFLNK | 0o777))
      t.fails("EINVAL", t.root.mknod("n", S.IFMT | 0o777))
    },
  },
  {
    name: "a device without driver is ENXIO when opened, and any device EACCES where the mount forbids them",
    run: (t) => {
      for (const path of ["char", "block"] as const) {
        t.create(path, path)
        t.fails(forbidsDevices(t) ? "EACCES" : "ENXIO", t.root.open(path))
        t.succeeds(t.root.open(path, O.PATH))
      }
    },
  },
  {
    name: "a device node reaches its driver, unless the mount forbids it",
    run: (t) => {
      t.ok(t.root.mknod("null", S.IFCHR | 0o666, device(1, 3)))
      t.ok(t.root.mknod("zero", S.IFCHR | 0o666, device(1, 5)))
      t.equal(t.lstat("null").size, 0, "size of null")
      if (forbidsDevices(t)) {
        for (const path of ["null", "zero"]) t.fails("EACCES", t.root.open(path))
        return
      }
      t.equal(t.ok(t.root.write(t.ok(t.root.open("null", O.WRONLY)), "gone")), 4, "bytes written to null")
      t.equal(t.ok(t.root.read(t.ok(t.root.open("null")), 10)), "", "bytes of null")
      t.equal(t.ok(t.root.read(t.ok(t.root.open("zero")), 3)), "\0\0\0", "bytes of zero")
    },
  },
]

function forbidsDevices(t: Test): boolean {
  return (t.ok(t.root.statfs(".")).flags & ST_NODEV) !== 0
}

const fifos: readonly Case[] = [
  {
    name: "a fifo carries bytes from one process to another and stays empty on disk",
    run: (t) => {
      t.ok(t.root.mkfifo("f", 0o666))
      const reader = t.ok(t.owner.open("f", O.RDONLY | O.NONBLOCK))
      const writer = t.ok(t.stranger.open("f", O.WRONLY | O.NONBLOCK))
      t.ok(t.stranger.write(writer, "through"))
      t.equal(t.ok(t.owner.read(reader, 100)), "through", "bytes")
      t.fails("EAGAIN", t.owner.read(reader, 100))
      t.ok(t.stranger.close(writer))
      t.equal(t.ok(t.owner.read(reader, 100)), "", "bytes after the end")
      t.equal(t.lstat("f").size, 0, "size")
    },
  },
  {
    name: "a fifo without reader is ENXIO for a writer that will not wait; seeking is ESPIPE",
    run: (t) => {
      t.ok(t.root.mkfifo("f"))
      t.fails("ENXIO", t.root.open("f", O.WRONLY | O.NONBLOCK))
      const fd = t.ok(t.root.open("f", O.RDWR | O.NONBLOCK))
      t.fails("ESPIPE", t.root.lseek(fd, 0))
      t.fails("ESPIPE", t.root.pread(fd, 1, 0))
      t.fails("EINVAL", t.root.ftruncate(fd, 0))
    },
  },
  {
    name: "an open fifo works on after it was unlinked",
    run: (t) => {
      t.ok(t.root.mkfifo("f"))
      const fd = t.ok(t.root.open("f", O.RDWR | O.NONBLOCK))
      t.ok(t.root.unlink("f"))
      t.ok(t.root.write(fd, "still"))
      t.equal(t.ok(t.root.read(fd, 9)), "still", "bytes")
    },
  },
]

/** struct sockaddr_un */
function address(path: string): { bytes: string } {
  return { bytes: Buffer.from(`\x01\x00${path}\0`, "latin1").toString("base64") }
}

const sockets: readonly Case[] = [
  {
    name: "bind makes a socket with the umask applied, once: then EADDRINUSE",
    run: (t) => {
      t.ok(t.owner.umask(0o027))
      const fds = [1, 2].map(() => t.ok(t.owner.call("socket", [AF_UNIX, SOCK_STREAM, 0])))
      t.defer(() => fds.forEach((fd) => t.owner.close(fd)))
      t.succeeds(t.owner.call("bind", [fds[0] ?? -1, address("s"), 5]))
      t.equal(t.lstat("s").mode, S.IFSOCK | 0o750, "mode")
      t.equal(t.lstat("s").uid, 71001, "owner")
      t.fails("EADDRINUSE", t.owner.call("bind", [fds[1] ?? -1, address("s"), 5]))
    },
  },
  {
    name: "a socket cannot be opened: ENXIO",
    run: (t) => {
      t.create("socket", "s")
      for (const flags of [O.RDONLY, O.WRONLY, O.RDWR]) t.fails("ENXIO", t.root.open("s", flags))
      t.succeeds(t.root.open("s", O.PATH))
    },
  },
]

export const cases: readonly Case[] = [
  ...pathCases(probesOf("mknod", "mkfifo")),
  ...making,
  ...semantics,
  ...fifos,
  ...sockets,
]
