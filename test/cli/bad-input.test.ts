/**
 * Stores, directories and disks that are not as they should be: each gives one clear sentence, what to do, its exit
 * status, and changes nothing.
 */
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { openSync, writeSync, closeSync, statSync } from "node:fs"
import { join } from "node:path"
import Sqlite from "better-sqlite3"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { skipIf } from "../helpers/requirements.ts"
import {
  Namespace,
  Place,
  clawfs,
  contents,
  deviceWithMode,
  inPlace,
  requireMounts,
  said,
  type Scene,
} from "./harness.ts"

interface Case {
  readonly args: (scene: Scene) => readonly string[]
  readonly says: string | RegExp
  readonly prepare?: (scene: Scene) => void
  /** What root does to the mounts of the program, with the scene's path as $1. */
  readonly namespace?: string
  readonly asNobody?: boolean
  readonly env?: Readonly<Record<string, string>>
  /** What the attempt may leave behind: a daemon that has come as far as its start. */
  readonly leaves?: readonly string[]
}

const mount = ({ store, mnt }: Scene): string[] => ["mount", store, mnt]
const init = ({ path }: Scene): string[] => ["init", "--user", join(path, "new")]
const meta = ({ store }: Scene): string => join(store, "meta.db")

/** A server opens its files before it finds that it can't start. */
const STARTED = ["clawfs.log", "lock", "control.sock", "journal", "reserve"].map((name) =>
  join("store", name),
)

function execute(path: string, sql: string): void {
  const db = new Sqlite(path)
  db.exec(sql)
  db.close()
}

/** Random bytes would make a different test every time. */
function overwrite(path: string, from: number, to: number): void {
  const fd = openSync(path, "r+")
  writeSync(fd, Buffer.alloc(to - from, 0xa5), 0, to - from, from)
  closeSync(fd)
}

/** To the user that `asNobody` means. */
function giveAway({ store, mnt }: Scene): void {
  for (const path of [store, join(store, "meta.db"), join(store, "segments"), mnt])
    chownSync(path, 65_534, 65_534)
}

const badStores: Readonly<Record<string, Case>> = {
  "a store that does not exist": {
    args: ({ path, mnt }) => ["mount", join(path, "none"), mnt],
    says: "exit 66\nclawfs: there is no store /none\nhint: make one: clawfs init /none",
  },
  "an empty directory as store": {
    prepare: ({ path }) => mkdirSync(join(path, "empty")),
    args: ({ path, mnt }) => ["mount", join(path, "empty"), mnt],
    says: "exit 65\nclawfs: /empty is not a ClawFS store: there is no meta.db in it\nhint: name the directory that clawfs init made",
  },
  "a file as store": {
    args: (scene) => ["mount", meta(scene), scene.mnt],
    says: "exit 65\nclawfs: /store/meta.db is not a ClawFS store: it is a file\nhint: name the directory that clawfs init made",
  },
  "a path below a file as store": {
    args: (scene) => ["mount", join(meta(scene), "x"), scene.mnt],
    says: /^exit 65\nclawfs: .*not a directory/,
  },
  "a store without its segments": {
    prepare: ({ store }) => rmSync(join(store, "segments"), { recursive: true }),
    args: mount,
    says: "exit 65\nclawfs: /store is not a ClawFS store: there is no segments in it\nhint: name the directory that clawfs init made",
  },
  "somebody else's meta.db": {
    prepare: (scene) => {
      rmSync(meta(scene))
      execute(meta(scene), "CREATE TABLE notes (text TEXT)")
    },
    args: mount,
    says: "exit 65\nclawfs: /store/meta.db is an SQLite database, but not that of a ClawFS store\nhint: name the directory that clawfs init made",
  },
  "a store of a newer version": {
    prepare: (scene) => execute(meta(scene), "PRAGMA user_version = 999"),
    args: mount,
    says: /^exit 69\nclawfs: the store has format 999, this clawfs knows formats up to \d+\nhint: install a newer clawfs$/,
  },
  "a store whose first page is overwritten": {
    prepare: (scene) => overwrite(meta(scene), 0, 4096),
    args: mount,
    says: "exit 65\nclawfs: /store/meta.db is damaged: it does not begin like an SQLite database\nhint: restore the store from a backup",
  },
  "a store whose database is overwritten in the middle": {
    prepare: (scene) => overwrite(meta(scene), 4096, statSync(meta(scene)).size),
    args: mount,
    says: /^exit 65\nclawfs: the store \/store can't be mounted: \/store\/meta.db is damaged \([^\n]*\)\nhint: restore the store from a backup$/,
    leaves: STARTED,
  },
  "a store whose database is cut off": {
    prepare: (scene) => truncateSync(meta(scene), statSync(meta(scene)).size - 4096),
    args: mount,
    says: "exit 65\nclawfs: /store/meta.db is damaged: 4096 bytes are missing at its end\nhint: restore the store from a backup",
  },
  "a store whose database has a schema of a format that SQLite does not know": {
    prepare: (scene) => overwrite(meta(scene), 47, 48),
    args: mount,
    says: /^exit 65\nclawfs: [^\n]*\/store\/meta.db is damaged \(unsupported file format\)/,
    leaves: STARTED,
  },
  "a store whose database is empty": {
    prepare: (scene) => truncateSync(meta(scene), 0),
    args: mount,
    says: "exit 65\nclawfs: /store/meta.db is damaged: it does not begin like an SQLite database\nhint: restore the store from a backup",
  },
  "another user's store": {
    prepare: ({ mnt }) => chownSync(mnt, 65_534, 65_534),
    args: mount,
    asNobody: true,
    says: "exit 77\nclawfs: no permission to read the store /store\nhint: run this as the owner of the store (user 0) or as root",
  },
  "a user's store that root has mounted": {
    prepare: (scene) => {
      giveAway(scene)
      writeFileSync(join(scene.store, "lock"), "", { mode: 0o600 })
    },
    args: mount,
    asNobody: true,
    says: "exit 77\nclawfs: no permission to write /store/lock: it is another user's\nhint: as root: chown -R --reference=/store /store",
  },
  "a store in another user's directory": {
    prepare: ({ path, store }) => {
      chmodSync(path, 0o755)
      mkdirSync(join(path, "closed"), { mode: 0o700 })
      cpSync(store, join(path, "closed", "store"), { recursive: true })
    },
    args: ({ path, mnt }) => ["mount", join(path, "closed", "store"), mnt],
    asNobody: true,
    says: "exit 77\nclawfs: no permission to reach the store /closed/store",
  },
  "a store on a read-only filesystem": {
    namespace: 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"',
    args: ({ store, mnt }) => ["mount", "--read-only", store, mnt],
    says: "exit 77\nclawfs: the store /store lies on a read-only filesystem\nhint: make that filesystem writable, or mount an overlay over it: the daemon keeps its lock and log in the store, even for --read-only",
  },
}

const badMountpoints: Readonly<Record<string, Case>> = {
  "a mount point that does not exist": {
    args: ({ path, store }) => ["mount", store, join(path, "none")],
    says: "exit 66\nclawfs: there is no directory /none to mount on\nhint: mkdir -p /none",
  },
  "a file as mount point": {
    prepare: ({ path }) => writeFileSync(join(path, "file"), ""),
    args: ({ path, store }) => ["mount", store, join(path, "file")],
    says: "exit 65\nclawfs: the mount point /file is a file\nhint: name an empty directory",
  },
  "a mount point that is not empty": {
    prepare: ({ mnt }) => writeFileSync(join(mnt, "file"), ""),
    args: mount,
    says: "exit 73\nclawfs: the mount point /mnt is not empty\nhint: --nonempty mounts over what is there",
  },
  "a mount point inside of the store": {
    args: ({ store }) => ["mount", store, join(store, "segments")],
    says: "exit 65\nclawfs: the mount point /store/segments lies inside of the store\nhint: name a directory outside of the store",
  },
  "a mount point inside of the store, through a link": {
    prepare: ({ path, store }) => symlinkSync(join(store, "segments"), join(path, "link")),
    args: ({ path, store }) => ["mount", store, join(path, "link")],
    says: "exit 65\nclawfs: the mount point /store/segments lies inside of the store\nhint: name a directory outside of the store",
  },
  "the store as mount point": {
    args: ({ store }) => ["mount", "--nonempty", store, store],
    says: "exit 65\nclawfs: the mount point /store would hide the store /store\nhint: name another directory as mount point",
  },
  "a store inside of the mount point": {
    args: ({ path, store }) => ["mount", "--nonempty", store, path],
    says: "exit 65\nclawfs: the mount point  would hide the store /store\nhint: name another directory as mount point",
  },
  "a mount point that an ordinary user may not write in": {
    prepare: (scene) => giveAway({ ...scene, mnt: scene.store }),
    args: mount,
    asNobody: true,
    says: "exit 77\nclawfs: no permission to write in the mount point /mnt, and only root can do without\nhint: name a directory of your own",
    namespace: deviceWithMode("666"),
    leaves: ["dev"],
  },
}

const badMachines: Readonly<Record<string, Case>> = {
  "a machine whose /dev/fuse is something else": {
    namespace: "mount --bind /dev/null /dev/fuse",
    args: mount,
    says: "exit 69\nclawfs: /dev/fuse is not the FUSE device\nhint: as root: modprobe fuse; clawfs doctor tells more",
  },
  "a machine without /dev/fuse": {
    namespace:
      'mkdir "$1/dev"; mount -t tmpfs none "$1/dev"; for d in null urandom random; do touch "$1/dev/$d"; mount --bind "/dev/$d" "$1/dev/$d"; done; mount --rbind "$1/dev" /dev',
    args: mount,
    says: "exit 69\nclawfs: there is no usable /dev/fuse\nhint: as root: modprobe fuse; clawfs doctor tells more",
    leaves: ["dev"],
  },
  "a device that an ordinary user may not open": {
    namespace: deviceWithMode("600"),
    prepare: giveAway,
    args: mount,
    asNobody: true,
    says: "exit 77\nclawfs: no permission to open /dev/fuse\nhint: as root: chmod 666 /dev/fuse (udev does that on most machines)",
    leaves: ["dev"],
  },
  "an ordinary user without fusermount3": {
    namespace: deviceWithMode("666"),
    prepare: giveAway,
    args: mount,
    asNobody: true,
    env: { PATH: "/nowhere" },
    says: "exit 69\nclawfs: fusermount3 is not installed\nhint: install the package fuse3, or mount as root",
    leaves: ["dev"],
  },
  "a store on a full disk": {
    namespace:
      'mkdir "$1/disk"; mount -t tmpfs -o size=1m none "$1/disk"; cp -a "$1/store" "$1/disk/store"; cat /dev/zero >"$1/disk/fill" 2>/dev/null || true',
    args: ({ path, mnt }) => ["mount", join(path, "disk", "store"), mnt],
    says: "exit 74\nclawfs: the disk of the store /disk/store is full\nhint: free some space there, then try again",
    leaves: ["disk"],
  },
}

const badPlaces: Readonly<Record<string, Case>> = {
  "a new store in a directory that is not empty": {
    prepare: ({ path }) => mkdirSync(join(path, "new", "x"), { recursive: true }),
    args: init,
    says: "exit 73\nclawfs: /new is not empty\nhint: name a new or an empty directory",
  },
  "a new store where one is": {
    args: ({ store }) => ["init", "--user", store],
    says: "exit 73\nclawfs: /store already holds a ClawFS store",
  },
  "a new store where a file is": {
    prepare: ({ path }) => writeFileSync(join(path, "new"), "kept"),
    args: init,
    says: "exit 73\nclawfs: /new is a file\nhint: name a new or an empty directory",
  },
  "a new store below a file": {
    prepare: ({ path }) => writeFileSync(join(path, "file"), "kept"),
    args: ({ path }) => ["init", "--user", join(path, "file", "a", "b")],
    says: "exit 73\nclawfs: /file is a file, so /file/a/b can't be made\nhint: name a new or an empty directory",
  },
  "a new store inside of another one": {
    args: ({ store }) => ["init", "--user", join(store, "segments", "x")],
    says: "exit 65\nclawfs: /store/segments/x would lie inside of the store /store\nhint: name a directory outside of it",
  },
  "a new store on a read-only filesystem": {
    namespace: 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"',
    args: init,
    says: "exit 77\nclawfs: /new would lie on a read-only filesystem\nhint: name a directory on another one",
  },
  "a new store where the user may not write": {
    args: init,
    asNobody: true,
    says: "exit 77\nclawfs: no permission to write in \nhint: name a directory of your own, or run this as root",
  },
  "a new store on a full disk": {
    namespace: 'mkdir "$1/disk"; mount -t tmpfs -o size=64k none "$1/disk"',
    args: ({ path }) => ["init", "--user", join(path, "disk", "a", "new")],
    says: "exit 74\nclawfs: the disk is too full to make /disk/a/new\nhint: free some space there, or name a directory on another disk",
    leaves: ["disk"],
  },
  "an ordinary user who gives directories to a group": {
    args: ({ path }) => ["init", "--agents-group", "0", join(path, "new")],
    asNobody: true,
    says: "exit 64\nclawfs: init: --agents-group needs root: only root can give directories away\nhint: clawfs init --help tells more",
  },
  "a group that this machine does not have": {
    args: ({ path }) => ["init", "--agents-group", "no-such-group", join(path, "new")],
    says: 'exit 65\nclawfs: this machine has no group "no-such-group"',
  },
}

const badUnmounts: Readonly<Record<string, Case>> = {
  "unmount where nothing is mounted": {
    args: ({ mnt }) => ["unmount", mnt],
    says: "exit 66\nclawfs: no ClawFS is mounted on /mnt\nhint: clawfs status shows what is mounted",
  },
  "unmount of what does not exist": {
    args: ({ path }) => ["unmount", join(path, "none")],
    says: "exit 66\nclawfs: no ClawFS is mounted on /none\nhint: clawfs status shows what is mounted",
  },
  "unmount of another filesystem": {
    namespace: 'mount -t tmpfs none "$1/mnt"',
    args: ({ mnt }) => ["unmount", mnt],
    says: "exit 66\nclawfs: no ClawFS is mounted on /mnt, but another filesystem (tmpfs)\nhint: clawfs status shows what is mounted",
  },
  "status of what is not mounted": {
    args: ({ mnt }) => ["status", mnt],
    says: "exit 66\nclawfs: no ClawFS is mounted on /mnt\nhint: clawfs status shows what is mounted",
  },
  "status of nothing": {
    namespace:
      'grep " - fuse.clawfs " /proc/self/mountinfo | cut -d" " -f5 | tac | while read -r m; do umount -l "$m"; done',
    args: () => ["status"],
    says: "exit 1\nclawfs: no ClawFS is mounted",
  },
  "status of nothing as JSON": {
    namespace:
      'grep " - fuse.clawfs " /proc/self/mountinfo | cut -d" " -f5 | tac | while read -r m; do umount -l "$m"; done',
    args: () => ["status", "--json"],
    says: "exit 1\n[]",
  },
}

let place: Place
beforeAll(async () => {
  if (requireMounts() === undefined) place = await Place.make()
})
afterAll(async () => {
  if (requireMounts() === undefined) await place[Symbol.asyncDispose]()
})
beforeEach((context) => {
  skipIf(context, requireMounts())
})

async function check({ args, says, prepare, namespace, asNobody, env, leaves = [] }: Case): Promise<void> {
  const scene = place.set()
  prepare?.(scene)
  const before = contents(scene.path, leaves)
  await using inside = namespace === undefined ? undefined : await Namespace.make(namespace, scene.path)
  const result = await clawfs(args(scene), {
    ...(inside === undefined ? {} : { namespace: inside }),
    ...(asNobody === undefined ? {} : { asNobody }),
    ...(env === undefined ? {} : { env }),
  })
  if (typeof says === "string") expect(said(result, scene)).toBe(says)
  else expect(said(result, scene)).toMatch(says)
  expect(result.stderr).not.toMatch(/^ +at |internal error|BUG/m)
  expect(contents(scene.path, leaves)).toEqual(before)
  if (inside === undefined || !leaves.includes("disk")) return
  const script = 'cd "$1/disk" && find . -path ./store -prune -o -type d -name "[an]*" -print'
  expect(said(await inPlace("sh", ["-c", script, "sh", scene.path], { namespace: inside }))).toBe("exit 0")
}

const groups = { badStores, badMountpoints, badMachines, badPlaces, badUnmounts }
for (const cases of Object.values(groups))
  test.concurrent.each(Object.entries(cases))("%s", async (_, each) => await check(each))
