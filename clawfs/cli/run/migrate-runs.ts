/** The runs of a mount, by name. */
import { readdirSync } from "node:fs"
import { join } from "node:path"

/** Those that were begun or are going on; none where nothing was ever migrated. */
export function listNames(mountpoint: string, directory: readonly string[]): string[] {
  try {
    const entries = readdirSync(join(mountpoint, ...directory), { withFileTypes: true })
    return entries
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort()
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return []
    throw thrown
  }
}
