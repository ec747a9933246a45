/** Real prose and code for the search rows: text files that lie on the machine, each content once, in an order that does not change. */
import { createHash } from "node:crypto"
import { mkdirSync, readFileSync, readdirSync, lstatSync, writeFileSync } from "node:fs"
import { basename, dirname, extname, join } from "node:path"
import { root } from "../paths.ts"

/** What programming languages' packages, manuals and headers leave on a machine, and this project's own dependencies. */
const places = [
  ...["/usr/include", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/share", "/usr/lib/node_modules"],
  ...["/root/.pyenv", "/usr/local/lib", "/root/.rustup", join(root, "node_modules"), join(root, "docs")],
]
const plain = "md txt rst tex js mjs cjs ts py pm pl h hpp c cc cpp rs go java".split(" ")
const LEAST_BYTES = 200
const MOST_BYTES = 300_000

export interface Corpus {
  readonly files: number
  readonly bytes: number
}

interface Found {
  readonly path: string
  readonly key: string
}

function walk(directory: string, extensions: ReadonlySet<string>, found: Found[]): void {
  let names: string[]
  try {
    names = readdirSync(directory)
  } catch {
    // Not on this machine.
    return
  }
  for (const name of names) {
    const path = join(directory, name)
    const stat = lstatSync(path, { throwIfNoEntry: false })
    if (stat?.isDirectory() === true) walk(path, extensions, found)
    else if (
      stat?.isFile() === true &&
      extensions.has(extname(name).slice(1)) &&
      stat.size >= LEAST_BYTES &&
      stat.size <= MOST_BYTES
    )
      found.push({ path, key: createHash("sha1").update(path).digest("hex") })
  }
}

/**
 * Copies files below `target` until there are `bytes` of them. `withPages` takes web pages too, for when more text is needed than
 * there is without. Throws when the machine has not enough.
 */
export function copyCorpus(target: string, bytes: number, withPages = false): Corpus {
  const found: Found[] = []
  const extensions = new Set(withPages ? [...plain, "html", "json"] : plain)
  for (const place of places) walk(place, extensions, found)
  found.sort((a, b) => (a.key < b.key ? -1 : 1))
  const seen = new Set<string>()
  let copied = 0
  for (const { path, key } of found) {
    if (copied >= bytes) break
    const content = readFileSync(path)
    const hash = createHash("sha1").update(content).digest("base64")
    if (seen.has(hash)) continue
    seen.add(hash)
    // No folder of theirs may have a name that the index leaves out.
    const file = join(
      target,
      key.slice(0, 2),
      basename(dirname(path)).replace(/^\.|^node_modules$/, "_"),
      `${key.slice(2, 8)}-${basename(path)}`,
    )
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
    copied += content.length
  }
  if (copied < bytes)
    throw new Error(
      `this machine has ${Math.round(copied / 1e6)} MB of texts, ${Math.round(bytes / 1e6)} are needed`,
    )
  return { files: seen.size, bytes: copied }
}
