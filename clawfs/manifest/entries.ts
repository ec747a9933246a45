/** What is in a tree: each file's hash, each link's target, by path. Nothing is followed. */
import { createHash } from "node:crypto"
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  readdirSync,
  readlinkSync,
} from "node:fs"
import { join } from "node:path"
import type { ManifestEntry, ManifestKind } from "../../schema/signed-manifest.ts"
import { Fault } from "../core/fault.ts"

const CHUNK = 1024 * 1024
/** Beside the documents, and signed itself. */
export const SPEC_SIGNATURES = "signatures.json"
const REGISTRY = "registry.json"

/** The entries of `directory`, ordered. Throws `Fault("invalid")` for what is neither file, link nor directory. */
export function entriesOf(kind: ManifestKind, directory: string): ManifestEntry[] {
  if (kind === "tools") return [fileEntry(directory, REGISTRY)]
  const entries: ManifestEntry[] = []
  walk(directory, "", (path) => {
    if (kind === "specs" && path === SPEC_SIGNATURES) return
    // Runs of tools are written below system/runs all the time.
    if (kind === "system" && path.startsWith("runs/")) return
    entries.push(entryOf(directory, path))
  })
  return entries.sort((a, b) => (a.path < b.path ? -1 : 1))
}

function walk(directory: string, below: string, each: (path: string) => void): void {
  for (const entry of readdirSync(join(directory, below), { withFileTypes: true })) {
    const path = join(below, entry.name)
    if (entry.isDirectory()) walk(directory, path, each)
    else each(path)
  }
}

function entryOf(directory: string, path: string): ManifestEntry {
  const full = join(directory, path)
  const stat = lstatSync(full)
  if (stat.isSymbolicLink()) return { path, target: readlinkSync(full) }
  if (stat.isFile()) return fileEntry(directory, path)
  throw new Fault("invalid", `${full} is neither a file nor a link, so it can't be signed`)
}

function fileEntry(directory: string, path: string): ManifestEntry {
  const full = join(directory, path)
  const fd = openSync(full, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    if (!fstatSync(fd).isFile()) throw new Fault("invalid", `${full} is not a file`)
    const [hash, chunk] = [createHash("sha256"), Buffer.allocUnsafeSlow(CHUNK)]
    for (let bytes = 0; ;) {
      const got = readSync(fd, chunk, 0, CHUNK, bytes)
      if (got === 0) return { path, sha256: `sha256:${hash.digest("hex")}`, bytes }
      hash.update(chunk.subarray(0, got))
      bytes += got
    }
  } finally {
    closeSync(fd)
  }
}

/** What differs between what was signed and what is there: one line each. */
export function differences(signed: readonly ManifestEntry[], present: readonly ManifestEntry[]): string[] {
  const text = (entry: ManifestEntry): string => ("sha256" in entry ? entry.sha256 : `-> ${entry.target}`)
  const now = new Map(present.map((entry) => [entry.path, text(entry)]))
  const lines = signed.flatMap((entry) => {
    const found = now.get(entry.path)
    now.delete(entry.path)
    if (found === undefined) return [`missing  ${entry.path}`]
    return found === text(entry) ? [] : [`changed  ${entry.path}`]
  })
  return [...lines, ...[...now.keys()].map((path) => `added    ${path}`)]
}
