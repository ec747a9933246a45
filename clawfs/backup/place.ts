/**
 * The directory of a backup: generations of one store, each a directory with the store's database, its segments, which
 * generations share through hard links, and a manifest. What has no manifest is no generation.
 */
import { chmodSync, closeSync, constants, mkdirSync, openSync, readdirSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { BACKUP_FORMAT, BackupIdentity, BackupManifest, BackupVersion } from "../../schema/backup-manifest.ts"
import { Fault } from "../core/fault.ts"
import { BACKUP_IDENTITY } from "../store/place.ts"
import { syncDirectory } from "../store/segment-files.ts"
import { lastErrno } from "../sys/ffi.ts"
import { flock } from "../sys/libc.ts"
import { isDirectory, readText, writeDurably } from "./files.ts"

export const MANIFEST = "manifest.json"
const LOCK = "lock"
/** The generation that is being made. */
const PARTIAL = "partial"
/** 2026-11-21T112331Z, and .1, .2 … for those of one second. */
const GENERATION = /^\d{4}-\d\d-\d\dT\d{6}Z(\.\d+)?$/
/** What the root of a fresh disk has. */
const NOT_OURS = ["lost+found"]
const OTHERS_MAY_WRITE = 0o022

const LOCK_SH_NB = 5
const LOCK_EX_NB = 6
const EWOULDBLOCK = 11

export interface Generation {
  readonly name: string
  readonly path: string
  readonly manifest: BackupManifest
}

export interface Generations {
  /** Oldest first. */
  readonly whole: readonly Generation[]
  /** Names of those whose manifest can't be read. They stay as they are. */
  readonly damaged: readonly string[]
}

/** The directory, locked for as long as it is in scope. */
export class BackupPlace implements Disposable {
  readonly path: string
  readonly partial: string
  readonly #lock: number

  private constructor(path: string, lock: number) {
    this.path = path
    this.partial = join(path, PARTIAL)
    this.#lock = lock
  }

  /**
   * For a backup of the store `uuid`: makes the directory if it is missing, or takes it if it is empty. Throws a `Fault`
   * for one that holds other things, backs up another store, or is not ours alone to write in.
   */
  static open(path: string, uuid: string): BackupPlace {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    requireOwn(path)
    const known = identityOf(path)
    if (known === undefined) requireEmpty(path)
    else requireSame(path, known, uuid)
    const lock = openSync(
      join(path, LOCK),
      constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW,
      0o600,
    )
    locked(path, lock, LOCK_EX_NB)
    if (known === undefined) {
      chmodSync(path, 0o700)
      const identity: BackupIdentity = { format: BACKUP_FORMAT, uuid }
      writeDurably(join(path, BACKUP_IDENTITY), Buffer.from(`${JSON.stringify(identity)}\n`))
      syncDirectory(path)
    }
    return new BackupPlace(path, lock)
  }

  /** Throws "unsupported" if a newer clawfs has made one of them. */
  generations(): Generations {
    return generationsIn(this.path)
  }

  /** The name of a generation that is begun now. */
  nameFor(time: Date): string {
    const name = `${time.toISOString().slice(0, 19).replaceAll(":", "")}Z`
    const taken = readdirSync(this.path)
    if (!taken.includes(name)) return name
    let n = 1
    while (taken.includes(`${name}.${n}`)) n += 1
    return `${name}.${n}`
  }

  /** Removes a generation; killed in the middle, it is none any more. */
  remove({ path }: Generation): void {
    rmSync(join(path, MANIFEST), { force: true })
    syncDirectory(path)
    rmSync(path, { recursive: true, force: true })
  }

  /** What is left of generations that were being removed. */
  removeRemains(): void {
    for (const name of directoriesIn(this.path))
      if (readText(join(this.path, name, MANIFEST)) === undefined)
        rmSync(join(this.path, name), { recursive: true, force: true })
  }

  [Symbol.dispose](): void {
    closeSync(this.#lock)
  }
}

export interface Found {
  readonly generation: Generation
  /** Keeps a backup from removing it meanwhile; undefined when there is none. */
  readonly lock: number | undefined
  /** See `Generations.damaged`. */
  readonly damaged: readonly string[]
}

/** The generation that `path` names: itself, or the newest one in it. Throws a `Fault` for what is no backup. */
export function findGeneration(path: string): Found {
  if (statSync(path, { throwIfNoEntry: false }) === undefined)
    throw new Fault("not-found", `there is no backup ${path}`)
  const own = generationAt(path, path)
  if (own !== undefined) return { generation: own, lock: lockOf(join(path, "..")), damaged: [] }
  if (identityOf(path) === undefined)
    throw new Fault("invalid", `${path} is not a backup of a ClawFS store`, {
      hint: "name the directory that clawfs backup wrote to, or one of the generations in it",
    })
  const lock = lockOf(path)
  const { whole, damaged } = generationsIn(path)
  const generation = whole.at(-1)
  if (generation === undefined) {
    if (lock !== undefined) closeSync(lock)
    throw new Fault("not-found", `there is no whole backup in ${path}: the first one was interrupted`, {
      hint: "clawfs backup makes it again",
    })
  }
  return { generation, lock, damaged }
}

function lockOf(path: string): number | undefined {
  let fd: number
  try {
    fd = openSync(join(path, LOCK), constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (cause) {
    // A copy of a single generation has none.
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw cause
  }
  return locked(path, fd, LOCK_SH_NB)
}

function locked(path: string, fd: number, operation: number): number {
  if (flock(fd, operation) === 0) return fd
  const errno = lastErrno()
  closeSync(fd)
  if (errno !== EWOULDBLOCK) throw new Fault("io", `can't lock ${join(path, LOCK)} (errno ${errno})`)
  throw new Fault("busy", `another clawfs works on the backup ${path}`, { hint: "wait until that has ended" })
}

function directoriesIn(path: string): string[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && GENERATION.test(entry.name))
    .map(({ name }) => name)
}

function generationsIn(path: string): Generations {
  const whole: Generation[] = []
  const damaged: string[] = []
  for (const name of directoriesIn(path)) {
    try {
      const generation = generationAt(join(path, name), name)
      if (generation !== undefined) whole.push(generation)
    } catch (thrown) {
      if (!(thrown instanceof Fault && thrown.kind === "corrupt")) throw thrown
      damaged.push(name)
    }
  }
  whole.sort((a, b) => a.manifest.generation - b.manifest.generation)
  return { whole, damaged }
}

function generationAt(path: string, name: string): Generation | undefined {
  if (!isDirectory(path)) return undefined
  const manifest = parsed(join(path, MANIFEST), BackupManifest)
  return manifest === undefined ? undefined : { name, path, manifest }
}

function identityOf(path: string): BackupIdentity | undefined {
  return parsed(join(path, BACKUP_IDENTITY), BackupIdentity)
}

/** Undefined when there is no such file; a `Fault` when it is not what we write there. */
function parsed<T>(
  path: string,
  schema: { safeParse(value: unknown): { success: true; data: T } | { success: false } },
): T | undefined {
  const text = readText(path)
  if (text === undefined) return undefined
  const value = jsonOf(text)
  const version = BackupVersion.safeParse(value)
  if (version.success && version.data.format > BACKUP_FORMAT) {
    throw new Fault(
      "unsupported",
      `${path} has backup format ${version.data.format}, this clawfs knows up to ${BACKUP_FORMAT}`,
      { hint: "install a newer clawfs" },
    )
  }
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new Fault("corrupt", `${path} is damaged`, { hint: "use another generation of the backup" })
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
}

/** Nobody else may put links or other files where we write and read. */
function requireOwn(path: string): void {
  const stat = statSync(path)
  if (!stat.isDirectory()) throw new Fault("exists", `${path} is not a directory`)
  const user = process.geteuid?.() ?? stat.uid
  if (stat.uid !== user)
    throw new Fault("denied", `${path} belongs to another user`, {
      hint: "name a directory of your own: its owner could read and change the backup",
    })
  if ((stat.mode & OTHERS_MAY_WRITE) !== 0 && identityOf(path) !== undefined)
    throw new Fault("denied", `others may write in ${path}`, { hint: `chmod 700 ${path}` })
}

function requireEmpty(path: string): void {
  const found = readdirSync(path).filter((name) => !NOT_OURS.includes(name) && name !== LOCK)
  if (found.length === 0) return
  throw new Fault("not-empty", `${path} is not empty, and not a backup`, {
    hint: "name a new or an empty directory, or that of earlier backups",
  })
}

function requireSame(path: string, known: BackupIdentity, uuid: string): void {
  if (known.uuid === uuid) return
  throw new Fault("exists", `${path} holds the backup of another store`, {
    hint: "name a directory of its own for each store",
  })
}
