/** What a tool is installed from: a directory with `tool.json`, or one executable file, which gets no capabilities. */
import { lstatSync, readFileSync, statSync } from "node:fs"
import { basename, isAbsolute, join, normalize } from "node:path"
import { TOOL_NAME, ToolManifest } from "../../schema/tool.ts"
import { Fault } from "../core/fault.ts"
import { kindOf } from "./program.ts"

export const MANIFEST = "tool.json"
const MOST_BYTES = 256 * 1024 * 1024
const MOST_MANIFEST_BYTES = 256 * 1024
const FIRST_VERSION = "1.0.0"

export interface Source {
  readonly manifest: ToolManifest
  readonly bytes: Buffer
  /** For messages. */
  readonly file: string
}

/** Throws `Fault` with one sentence for whatever is wrong with it. */
export function readSource(path: string): Source {
  const stat = statSync(path)
  if (stat.isDirectory()) return fromDirectory(path)
  return fromFile(path)
}

function fromDirectory(directory: string): Source {
  const manifest = readManifest(join(directory, MANIFEST))
  const { entry } = manifest
  const inside = normalize(entry)
  if (isAbsolute(entry) || inside === ".." || inside.startsWith("../"))
    throw new Fault("invalid", `${MANIFEST}: the entry "${entry}" lies outside of the directory`)
  const file = join(directory, inside)
  return { manifest, bytes: contentsOf(file), file }
}

function readManifest(path: string): ToolManifest {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat?.isFile() !== true)
    throw new Fault("not-found", `there is no ${path}`, { hint: "docs/TOOLS.md says what stands in it" })
  if (stat.size > MOST_MANIFEST_BYTES) throw new Fault("invalid", `${path} is too long`)
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, "utf8"))
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw new Fault("invalid", `${path} is not JSON: ${cause.message}`, { cause })
  }
  const manifest = ToolManifest.safeParse(value)
  if (manifest.success) return manifest.data
  const [issue] = manifest.error.issues
  const where = issue?.path.map(String).join(".") ?? ""
  throw new Fault("invalid", `${path}: ${where === "" ? "" : `${where}: `}${issue?.message ?? "invalid"}`)
}

function fromFile(file: string): Source {
  const bytes = contentsOf(file)
  const name = basename(file).replace(/\.(sh|py|pl|js|rb)$/, "")
  if (!TOOL_NAME.test(name))
    throw new Fault(
      "invalid",
      `"${name}" can't be a tool's name: it has lower case letters, digits and hyphens`,
      {
        hint: `put it into a directory, with a ${MANIFEST} that names it`,
      },
    )
  const given = { tool_id: name, version: FIRST_VERSION, kind: kindOf(bytes), entry: basename(file) }
  // A script that can't start a program can hardly do anything.
  const capabilities = given.kind === "script" ? ["process:spawn"] : []
  return { manifest: ToolManifest.parse({ ...given, capabilities }), bytes, file }
}

function contentsOf(file: string): Buffer {
  const stat = statSync(file)
  if (!stat.isFile()) throw new Fault("invalid", `${file} is no file`)
  if (stat.size === 0) throw new Fault("invalid", `${file} is empty`)
  if (stat.size > MOST_BYTES) throw new Fault("invalid", `${file} is larger than 256 MiB`)
  return readFileSync(file)
}
