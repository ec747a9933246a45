/** Reads back what an import has made, and compares it with the archive. */
import { constants } from "node:fs"
import { O_PATH, openExactly } from "../sys/beneath.ts"
import { Fault } from "../core/fault.ts"
import { Descriptor } from "../sys/descriptor.ts"
import type { Contents, OnProgress } from "./check.ts"
import { differences } from "./compare.ts"
import type { Entry } from "./entry.ts"
import { ManifestLines } from "./manifest.ts"
import { shown } from "./member.ts"
import type { ArchiveReader } from "./reader.ts"
import { Located } from "./source.ts"

/** What was not made by the import: paths, each byte a character. */
export interface NotMade {
  readonly kept: ReadonlySet<string>
  /** Directories that were there. */
  readonly existing: ReadonlySet<string>
}

/** Throws `Fault("io")` for the first file that is not as the archive has it. */
export function verifyTree(
  archive: ArchiveReader,
  contents: Contents,
  target: Descriptor,
  options: NotMade & { readonly keepsOwners: boolean; readonly onProgress: OnProgress },
): void {
  const lines = new ManifestLines(archive, contents.manifest)
  let done = 0
  archive.walk(({ entry }) => {
    const line = lines.next() ?? ""
    done += 1
    options.onProgress("verifying", done, contents.end.totals.entries)
    const key = entry.path.toString("latin1")
    if (options.kept.has(key) || options.existing.has(key)) return
    const problem = problemOf(target, entry, sumIn(line), options.keepsOwners)
    if (problem !== undefined) throw new Fault("io", `${shown(entry.path)} ${problem} after it was written`)
  })
}

/** The SHA-256 in a line of the manifest. */
export function sumIn(line: string): string | undefined {
  return (JSON.parse(line) as { readonly sha256?: string }).sha256
}

function problemOf(
  target: Descriptor,
  entry: Entry,
  sha256: string | undefined,
  withOwner: boolean,
): string | undefined {
  return locate(target, entry.path, (found) => {
    if (found === undefined) return "is missing"
    if (entry.type !== "link") {
      const differing = differences(entry, sha256, found, { withOwner, withTime: true })
      return differing.length === 0 ? undefined : `differs in its ${differing.join(", ")}`
    }
    return locate(target, entry.target, (first) => {
      const isSame = first?.stat.ino === found.stat.ino && first.stat.dev === found.stat.dev
      return isSame ? undefined : "is another file than its first name"
    })
  })
}

/** Runs `use` with what a path of the archive leads to, as long as the directory above it is held. */
function locate<T>(target: Descriptor, path: Buffer, use: (found: Located | undefined) => T): T {
  const slash = path.lastIndexOf(SLASH)
  const parent = slash < 0 ? HERE : path.subarray(0, slash)
  using directory = new Descriptor(openExactly(target.fd, parent, O_PATH | constants.O_DIRECTORY))
  using found = Located.at(directory, path.length === 0 ? HERE : path.subarray(slash + 1))
  return use(found)
}

const SLASH = 0x2f
const HERE = Buffer.from(".")
