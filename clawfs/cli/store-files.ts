/**
 * Judges a store by its files, without opening its database: an SQLite connection, even a reading one, leaves files
 * behind. What only a reader of the whole database can find, the server finds when it starts.
 */
import {
  accessSync,
  closeSync,
  constants,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  statSync,
} from "node:fs"
import { join } from "node:path"
import { APPLICATION_ID, SCHEMA_VERSION } from "../../migrations/sqlite/steps.ts"
import { Fault } from "../core/fault.ts"
import { META, SEGMENTS, requireOwnFiles } from "../store/place.ts"
import { filesystemOf, isClawfs } from "../sys/clawfs-mounts.ts"

export interface StoreFiles {
  /** Absolute, without symbolic links. */
  readonly path: string
  readonly version: number
  readonly newest: number
}

/** Throws a `Fault` with a hint unless a server could start on the store. */
export function inspectStore(given: string): StoreFiles {
  const path = realDirectory(given)
  const on = filesystemOf(path)
  if (isClawfs(on)) {
    throw new Fault("invalid", `the store ${path} lies on a ClawFS mount (${on.mountpoint})`, {
      hint: "move it to another filesystem",
    })
  }
  guarded(path, "read", () => accessSync(path, constants.R_OK | constants.X_OK))
  const missing = [META, SEGMENTS].find((name) => statOf(join(path, name)) === undefined)
  if (missing !== undefined) {
    throw new Fault("invalid", `${path} is not a ClawFS store: there is no ${missing} in it`, {
      hint: "name the directory that clawfs init made",
    })
  }
  requireOwnFiles(path)
  const version = guarded(path, "read", () => formatOf(join(path, META)))
  guarded(path, "write to", () => accessSync(path, constants.W_OK))
  for (const name of readdirSync(path)) requireOwn(path, name)
  return { path, version, newest: SCHEMA_VERSION }
}

export function isStore(path: string): boolean {
  return [META, SEGMENTS].every((name) => statOf(join(path, name)) !== undefined)
}

function statOf(path: string): ReturnType<typeof statSync> | undefined {
  try {
    return statSync(path)
  } catch {
    return undefined
  }
}

function realDirectory(given: string): string {
  let path: string
  try {
    path = realpathSync(given)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT")
      throw new Fault("not-found", `there is no store ${given}`, {
        cause,
        hint: `make one: clawfs init ${given}`,
      })
    if (code === "EACCES") throw new Fault("denied", `no permission to reach the store ${given}`, { cause })
    throw cause
  }
  if (!statSync(path).isDirectory()) {
    throw new Fault("invalid", `${path} is not a ClawFS store: it is a file`, {
      hint: "name the directory that clawfs init made",
    })
  }
  return path
}

/** Root may have mounted a user's store: what it left there, the user can't write. */
function requireOwn(store: string, name: string): void {
  try {
    accessSync(join(store, name), constants.R_OK | constants.W_OK)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code !== "EACCES" && code !== "EPERM") return
    throw new Fault("denied", `no permission to write ${join(store, name)}: it is another user's`, {
      cause,
      hint: `as root: chown -R --reference=${store} ${store}`,
    })
  }
}

function guarded<T>(store: string, verb: string, look: () => T): T {
  try {
    return look()
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "EACCES" || code === "EPERM") {
      throw new Fault("denied", `no permission to ${verb} the store ${store}`, {
        cause,
        hint: `run this as the owner of the store (user ${String(statOf(store)?.uid ?? "?")}) or as root`,
      })
    }
    if (code === "EROFS") {
      throw new Fault("read-only", `the store ${store} lies on a read-only filesystem`, {
        cause,
        hint: "make that filesystem writable, or mount an overlay over it: the daemon keeps its lock and log in the store, even for --read-only",
      })
    }
    throw cause
  }
}

/** The header of an SQLite file: https://www.sqlite.org/fileformat.html, section 1.3. All numbers are big-endian. */
const HEADER = 100
const MAGIC = "SQLite format 3\0"
const At = { pageSize: 16, changes: 24, pages: 28, version: 60, application: 68, pagesValidFor: 92 } as const

function formatOf(meta: string): number {
  const header = Buffer.alloc(HEADER)
  const fd = openSync(meta, "r")
  let length: number
  try {
    length = readSync(fd, header, 0, HEADER, 0)
  } finally {
    closeSync(fd)
  }
  if (length < HEADER || header.toString("latin1", 0, MAGIC.length) !== MAGIC)
    throw damaged(meta, "it does not begin like an SQLite database")
  if (header.readUInt32BE(At.application) !== APPLICATION_ID) {
    throw new Fault("invalid", `${meta} is an SQLite database, but not that of a ClawFS store`, {
      hint: "name the directory that clawfs init made",
    })
  }
  const version = header.readUInt32BE(At.version)
  if (version > SCHEMA_VERSION) {
    throw new Fault(
      "unsupported",
      `the store has format ${version}, this clawfs knows formats up to ${SCHEMA_VERSION}`,
      { hint: "install a newer clawfs" },
    )
  }
  checkLength(meta, header)
  return version
}

/** Pages may be missing only while they wait in the WAL. */
function checkLength(meta: string, header: Buffer): void {
  if (Number(statOf(`${meta}-wal`)?.size ?? 0) > 0) return
  if (header.readUInt32BE(At.changes) !== header.readUInt32BE(At.pagesValidFor)) return
  // 1 stands for 65536, which 16 bits can't hold.
  const pageSize = header.readUInt16BE(At.pageSize) === 1 ? 65_536 : header.readUInt16BE(At.pageSize)
  const missing = header.readUInt32BE(At.pages) * pageSize - Number(statOf(meta)?.size ?? 0)
  if (missing > 0) throw damaged(meta, `${missing} bytes are missing at its end`)
}

function damaged(meta: string, how: string): Fault {
  return new Fault("corrupt", `${meta} is damaged: ${how}`, { hint: "restore the store from a backup" })
}
