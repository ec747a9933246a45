/** The work of `clawfs export`. */
import { randomBytes } from "node:crypto"
import { closeSync, existsSync, fsyncSync, openSync, realpathSync, rmSync, statSync } from "node:fs"
import { basename, dirname, join, resolve } from "node:path"
import type { SnapshotRow } from "../../../schema/tree-methods.ts"
import { call } from "../../api/client.ts"
import { checkArchive } from "../../archive/check.ts"
import { exportTree, type Exported } from "../../archive/export.ts"
import { ArchiveReader } from "../../archive/reader.ts"
import { Fault } from "../../core/fault.ts"
import { openPath, renameAt } from "../../sys/beneath.ts"
import { filesystemOf, isClawfs, isInside } from "../../sys/clawfs-mounts.ts"
import { Descriptor } from "../../sys/descriptor.ts"
import { UsageError } from "../command.ts"
import type { ExportInvocation } from "../commands/export.ts"
import { ExitCode } from "../exit-code.ts"
import { inside } from "../inside.ts"
import { humanBytes } from "../numbers.ts"
import { ProgressLine } from "../progress.ts"
import type { Terminal } from "../terminal.ts"
import { bundlePassphrase, exportBundle } from "../vault/bundle.ts"
import { presentPerson } from "../vault/people.ts"
import { vaultDirectory } from "../vault/place.ts"
import { noteExpired } from "./vault-bundle.ts"

const O_DIRECTORY = 0o200000
const UMASK = 0o077
const STDOUT = 1
/** Of a mount point, unless others are named. */
const USUAL = ["workspaces", "agents"]
/** `clawfs-export-PID-…`: of an export that is being made, or was killed. */
const SNAPSHOT = /^clawfs-export-(\d+)-[0-9a-f]+$/

export async function runExport({ values, operands, terminal }: ExportInvocation): Promise<ExitCode> {
  const started = performance.now()
  const [given = "", archive = ""] = operands
  const directory = directoryAt(given)
  const only = entriesOf(directory, values.only)
  const path = archive === "-" ? undefined : resolve(archive)
  if (path === undefined && process.stdout.isTTY)
    throw new UsageError("export: the archive would go to the terminal", "send it to a program or file")
  if (path === undefined && values.json === true)
    throw new UsageError("export: stdout has the archive, --json has no place there")
  if (path !== undefined) requirePlace(path, directory, values.force === true)
  process.umask(UMASK)
  const secrets = secretsFor(values)
  const isLive = values.live === true || !isClawfs(filesystemOf(directory)) || isSnapshot(directory)
  const made = await exportedFrom(directory, isLive, (source) => {
    using progress = new ProgressLine(terminal, "exporting")
    const write = (fd: number): Exported =>
      exportTree(source.directory, fd, {
        ...{ top: source.top, source: sourceName(directory), onProgress: progress.show },
        ...{ ...(only === undefined ? {} : { only }), secrets: secrets?.bundle },
      })
    return path === undefined ? write(STDOUT) : writtenTo(path, values.force === true, write, progress)
  })
  const seconds = (performance.now() - started) / 1000
  if (values.json === true)
    terminal.out(
      JSON.stringify(
        { ok: made.changed.length === 0, archive: path, ...made, seconds: Number(seconds.toFixed(3)) },
        undefined,
        2,
      ),
    )
  else if (path !== undefined) show(made, path, seconds, terminal)
  for (const name of made.leftOut)
    terminal.note(`${name} is another filesystem's mount point, and was left out`)
  for (const name of made.changed) terminal.note(`${name} was changed while it was read`)
  noteExpired(secrets?.expired ?? [], terminal)
  return made.changed.length === 0 && (secrets?.expired.length ?? 0) === 0 ? ExitCode.OK : ExitCode.NO
}

/** Asked for before anything is read: people are there at the beginning. */
function secretsFor(values: ExportInvocation["values"]): ReturnType<typeof exportBundle> | undefined {
  if (values.secrets !== true) {
    const surplus = SECRET_OPTIONS.find((name) => values[name] !== undefined)
    if (surplus === undefined) return undefined
    throw new UsageError(`export: --${surplus} is for --secrets`)
  }
  using person = presentPerson(values)
  using passphrase = bundlePassphrase(values, true)
  return exportBundle(vaultDirectory(values.vault), { person, passphrase })
}

const SECRET_OPTIONS = [
  ...["vault", "passphrase-file", "passphrase-fd", "key-file", "recovery-file"],
  ...["bundle-pass-file", "bundle-pass-fd"],
] as const satisfies readonly (keyof ExportInvocation["values"])[]

function show(
  { entries, bytes, archiveBytes }: Exported,
  path: string,
  seconds: number,
  terminal: Terminal,
): void {
  const size = `${humanBytes(bytes)}; the archive has ${humanBytes(archiveBytes)}`
  terminal.out(`exported ${entries} files and directories to ${path} (${size}) in ${seconds.toFixed(1)} s`)
}

/** Without links. */
function directoryAt(given: string): string {
  const path = realpathSync(given)
  if (statSync(path).isDirectory()) return path
  throw new Fault("invalid", `${given} is no directory`)
}

function entriesOf(directory: string, list: string | undefined): readonly string[] | undefined {
  const on = filesystemOf(directory)
  const isRoot = isClawfs(on) && on.mountpoint === directory
  const names = list?.split(",").filter((name) => name !== "") ?? (isRoot ? USUAL : undefined)
  if (names?.length === 0) throw new UsageError("export: --only names nothing")
  for (const name of names ?? []) {
    if (name === "." || name === ".." || name.includes("/"))
      throw new UsageError(`export: --only takes names of entries, got "${name}"`)
    if (list !== undefined && !existsSync(join(directory, name)))
      throw new Fault("not-found", `${directory} has no ${name}`)
  }
  return names?.filter((name) => existsSync(join(directory, name)))
}

function requirePlace(path: string, directory: string, mayReplace: boolean): void {
  const parent = realpathSync(dirname(path))
  if (isInside(parent, directory))
    throw new Fault("exists", `${path} would lie in ${directory}, which is exported`, {
      hint: "name a file outside of it",
    })
  if (existsSync(path) && !mayReplace)
    throw new Fault("exists", `${path} exists`, { hint: "--force replaces it" })
}

function isSnapshot(directory: string): boolean {
  const on = filesystemOf(directory)
  return on !== undefined && isInside(directory, join(on.mountpoint, ".snapshots"))
}

function sourceName(directory: string): string {
  const on = filesystemOf(directory)
  return isClawfs(on) ? directory.slice(on.mountpoint.length) || "/" : directory
}

interface Source extends AsyncDisposable {
  readonly directory: Descriptor
  /** Whose attributes the top has. */
  readonly top: Descriptor
}

async function exportedFrom(
  directory: string,
  isLive: boolean,
  work: (source: Source) => Exported,
): Promise<Exported> {
  await using source = isLive ? liveSource(directory) : await snapshotOf(directory)
  return work(source)
}

function opened(path: string): Descriptor {
  return new Descriptor(openPath(path, O_DIRECTORY))
}

function liveSource(path: string): Source {
  const directory = opened(path)
  const close = (): Promise<void> => {
    directory[Symbol.dispose]()
    return Promise.resolve()
  }
  return { directory, top: directory, [Symbol.asyncDispose]: close }
}

async function snapshotOf(path: string): Promise<Source> {
  const { store, mountpoint, path: within } = inside(path)
  await removeStale(store)
  const name = `clawfs-export-${process.pid}-${randomBytes(4).toString("hex")}`
  try {
    await call(store, "snapshot.create", { name, path: within, isWritable: false })
  } catch (thrown) {
    if (
      !(thrown instanceof Fault) ||
      (thrown.kind !== "denied" && thrown.kind !== "read-only" && thrown.kind !== "invalid")
    )
      throw thrown
    throw new Fault(thrown.kind, `no snapshot of ${path} can be taken: ${thrown.message}`, {
      cause: thrown,
      hint: "--live reads the files as they are",
    })
  }
  const open: Descriptor[] = []
  const end = async (): Promise<void> => {
    for (const each of open) each[Symbol.dispose]()
    await call(store, "snapshot.delete", { name })
  }
  try {
    const [top, directory] = [path, join(mountpoint, ".snapshots", name)].map((each) => {
      const descriptor = opened(each)
      open.push(descriptor)
      return descriptor
    }) as [Descriptor, Descriptor]
    return { directory, top, [Symbol.asyncDispose]: end }
  } catch (thrown) {
    await end()
    throw thrown
  }
}

/** What killed exports have left. */
async function removeStale(store: string): Promise<void> {
  for (const { name } of (await call(store, "snapshot.list")) as SnapshotRow[]) {
    const [, pid] = SNAPSHOT.exec(name) ?? []
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await call(store, "snapshot.delete", { name })
  }
}

/** Under another name until it is read back and whole. */
function writtenTo(
  path: string,
  mayReplace: boolean,
  write: (fd: number) => Exported,
  progress: ProgressLine,
): Exported {
  const partial = `${path}.partial-${randomBytes(4).toString("hex")}`
  const fd = openSync(partial, "wx", 0o600)
  try {
    let made: Exported
    try {
      made = write(fd)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    {
      using archive = new ArchiveReader(partial)
      checkArchive(archive, { isPrivileged: true, mostBytes: Infinity }, progress.show)
    }
    using parent = opened(dirname(path))
    renameAt(parent.fd, Buffer.from(basename(partial)), parent.fd, Buffer.from(basename(path)), mayReplace)
    fsyncSync(parent.fd)
    return made
  } catch (thrown) {
    rmSync(partial, { force: true })
    throw thrown
  }
}
