/** What a tool is installed from: a directory with `tool.json`, or one executable file, which gets no capabilities. */
import { closeSync, fstatSync, lstatSync, readFileSync, readlinkSync, realpathSync, statSync } from "node:fs"
import { basename, isAbsolute, join, normalize } from "node:path"
import { TOOL_NAME, ToolManifest } from "../../schema/tool.ts"
import { Fault } from "../core/fault.ts"
import { openRegular } from "./files.ts"
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
  if (isAbsolute(entry) || inside === ".." || inside.startsWith("../")) throw outside(entry)
  const file = join(directory, inside)
  const fd = openRegular(file)
  try {
    // Who installs may read what the tool's author may not: a link must not make that a tool's file, which everybody reads.
    if (!readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${realpathSync(directory)}/`)) throw outside(entry)
    return { manifest, bytes: contentsOf(fd, file), file }
  } finally {
    closeSync(fd)
  }
}

function outside(entry: string): Fault {
  return new Fault("invalid", `${MANIFEST}: the entry "${entry}" lies outside of the directory`)
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
  const bytes = contentsOfFile(file)
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

function contentsOfFile(file: string): Buffer {
  const fd = openRegular(file)
  try {
    return contentsOf(fd, file)
  } finally {
    closeSync(fd)
  }
}

function contentsOf(fd: number, file: string): Buffer {
  const { size } = fstatSync(fd)
  if (size === 0) throw new Fault("invalid", `${file} is empty`)
  if (size > MOST_BYTES) throw new Fault("invalid", `${file} is larger than 256 MiB`)
  return readFileSync(fd)
}
