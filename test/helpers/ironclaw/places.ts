/** Plain directories that tests migrate into. */
import { createHash } from "node:crypto"
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A directory that goes with its scope. */
export function place(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "clawfs-migrate-"))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** Every file and directory below, with its content. */
export function picture(directory: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    found[path.slice(directory.length)] = entry.isFile()
      ? createHash("sha256").update(readFileSync(path)).digest("hex")
      : "other"
  }
  return found
}
