/** How the search of a store is configured: `index/config.json`, which need not exist. */
import { readFileSync } from "node:fs"
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
