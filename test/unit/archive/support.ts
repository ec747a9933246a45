/** Directories that are exported and imported in the test's own process. */
import { closeSync, mkdtempSync, mkdirSync, openSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { applyArchive, type Applied, type ApplyOptions } from "../../../clawfs/archive/apply.ts"
import { checkArchive, type Contents, type Limits } from "../../../clawfs/archive/check.ts"
import { exportTree, type Exported, type ExportOptions } from "../../../clawfs/archive/export.ts"
import { ManifestLines } from "../../../clawfs/archive/manifest.ts"
import { ArchiveReader } from "../../../clawfs/archive/reader.ts"
import { verifyTree } from "../../../clawfs/archive/verify.ts"
import { Descriptor } from "../../../clawfs/sys/descriptor.ts"
import { openPath } from "../../../clawfs/sys/beneath.ts"

export const isRoot = process.getuid?.() === 0
export const PRIVILEGED: Limits = { isPrivileged: true, mostBytes: undefined }
export const ORDINARY: Limits = { isPrivileged: false, mostBytes: undefined }
const onProgress = (): void => undefined
const O_DIRECTORY = 0o200000

export class Work implements Disposable {
  readonly base = mkdtempSync(join(tmpdir(), "clawfs-archive-"))
  #count = 0

  path(...names: string[]): string {
    return join(this.base, ...names)
  }

  /** A new directory. */
  directory(): string {
    this.#count += 1
    const path = this.path(`d${this.#count}`)
    mkdirSync(path)
    return path
  }

  [Symbol.dispose](): void {
    rmSync(this.base, { recursive: true, force: true })
  }
}

export function exported(directory: string, archive: string, options: Partial<ExportOptions> = {}): Exported {
  using source = new Descriptor(openPath(directory, O_DIRECTORY))
  const out = openSync(archive, "w", 0o600)
  try {
    return exportTree(source, out, { source: directory, onProgress, ...options })
  } finally {
    closeSync(out)
  }
}

export function checkedArchive(path: string, limits = PRIVILEGED): Contents {
  using archive = new ArchiveReader(path)
  return checkArchive(archive, limits, onProgress)
}

/** Checked, made and verified, as the command does. */
export function imported(
  path: string,
  directory: string,
  options: Partial<ApplyOptions> = {},
  limits = PRIVILEGED,
): Applied {
  using archive = new ArchiveReader(path)
  const contents = checkArchive(archive, limits, onProgress)
  using target = new Descriptor(openPath(directory, O_DIRECTORY))
  const all = { replaces: false, keepsOwners: isRoot, isNew: true, onProgress, ...options }
  const applied = applyArchive(archive, contents, target, all)
  verifyTree(archive, contents, target, { ...applied, keepsOwners: isRoot, onProgress })
  return applied
}

/** What the manifest of an archive lists. */
export function linesIn(path: string): string[] {
  using archive = new ArchiveReader(path)
  const lines = new ManifestLines(archive, archive.walk(() => undefined).manifest)
  const all: string[] = []
  for (let line = lines.next(); line !== undefined; line = lines.next()) all.push(line)
  return all
}
