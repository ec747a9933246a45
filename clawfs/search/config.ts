/** How the search of a store is configured: `index/config.json`, which need not exist. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs"
import { join } from "node:path"
import { searchConfig, type SearchConfig } from "../../schema/search.ts"
import { Fault } from "../core/fault.ts"

/** Of `index/`. */
const FILE = "config.json"
const LARGEST = 64 * 1024

/** Throws `Fault("invalid")` for a file that is not what it should be, with where it is wrong. */
export function readSearchConfig(index: string): SearchConfig {
  const path = join(index, FILE)
  const parsed = searchConfig.safeParse(contentOf(path))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const where = issue?.path.map(String).join(".") ?? ""
  throw new Fault("invalid", `${path}: ${where === "" ? "" : `${where}: `}${issue?.message ?? "invalid"}`)
}

/** Takes the place of the configuration there is, as a whole or not at all. */
export function writeSearchConfig(index: string, config: SearchConfig): void {
  mkdirSync(index, { recursive: true, mode: 0o700 })
  const path = join(index, FILE)
  const fd = openSync(`${path}.tmp`, "w", 0o600)
  try {
    writeSync(fd, `${JSON.stringify(config, undefined, 2)}\n`)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(`${path}.tmp`, path)
}

function contentOf(path: string): unknown {
  let text: string
  try {
    text = readFileSync(path, "utf8")
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return {}
    throw cause
  }
  if (text.length > LARGEST) throw new Fault("invalid", `${path} is longer than ${LARGEST} bytes`)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Fault("invalid", `${path} is no JSON`, { cause })
  }
}
