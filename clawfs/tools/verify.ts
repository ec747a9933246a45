/** Whether what is installed is as it was installed, and cleaning up what nobody names. */
import { existsSync, lstatSync, readFileSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { ToolRegistry } from "../../schema/tool.ts"
import { describe } from "../core/fault.ts"
import { UNFINISHED } from "./files.ts"
import { LAUNCHER } from "./install.ts"
import { binaryName, hasOwnDirectory, type ToolPlaces } from "./places.ts"
import { changeTools, readDefinition, readRegistry, sha256, writeRegistry } from "./registry.ts"
import { removeBinary, removeVersion } from "./remove.ts"

/** By then who has asked has read it. */
const ANSWER_MS = 24 * 3600 * 1000

/** A sentence for everything that is wrong with tools, of `only` or of all. Reads every byte. */
export function verify(places: ToolPlaces, only?: string): string[] {
  const { tools } = readRegistry(places)
  const names = only === undefined ? Object.keys(tools) : [only]
  return names.flatMap((name) => problemsOf(places, name, tools))
}

function problemsOf(places: ToolPlaces, name: string, tools: ToolRegistry["tools"]): string[] {
  const entry = tools[name]
  if (entry === undefined) return [`there is no tool "${name}"`]
  const problems = existsSync(places.command(name)) ? [] : [`${places.command(name)} is missing`]
  for (const { version, binary_hash } of entry.versions) {
    try {
      readDefinition(places, name, entry, version)
      const path = places.binary(name, version)
      if (sha256(readFileSync(path)) !== binary_hash)
        problems.push(`the binary of "${name}" ${version} is not what was installed`)
    } catch (thrown) {
      problems.push(describe(thrown))
    }
  }
  return problems
}

export interface Collected {
  /** Versions of tools that are gone now. */
  readonly versions: readonly string[]
  /** Other files: what interrupted commands left, and what the registry does not name. */
  readonly files: readonly string[]
}

/** Keeps the current version of each tool and the `keep` newest others. */
export async function collect(places: ToolPlaces, keep: number): Promise<Collected> {
  return await changeTools(places, () => {
    const registry = readRegistry(places)
    const tools = { ...registry.tools }
    const gone: { name: string; version: string }[] = []
    for (const [name, entry] of Object.entries(tools)) {
      const others = entry.versions.filter(({ version }) => version !== entry.current)
      const old = new Set(others.slice(0, Math.max(0, others.length - keep)))
      gone.push(...[...old].map(({ version }) => ({ name, version })))
      tools[name] = { ...entry, versions: entry.versions.filter((each) => !old.has(each)) }
    }
    if (gone.length > 0) writeRegistry(places, tools)
    for (const { name, version } of gone) removeVersion(places, name, version)
    return {
      versions: gone.map(({ name, version }) => binaryName(name, version)),
      files: removeStrays(places, tools),
    }
  })
}

function removeStrays(places: ToolPlaces, tools: ToolRegistry["tools"]): string[] {
  const versions = Object.entries(tools).flatMap(([name, entry]) =>
    entry.versions.map(({ version }) => [name, version] as const),
  )
  const wanted = new Set([
    places.registry,
    ...versions.flatMap(([name, version]) => [
      places.binary(name, version),
      places.definitionOf(name, version),
    ]),
    ...Object.keys(tools).flatMap((name) => [places.definition(name), places.command(name)]),
  ])
  const inUse = new Set(
    Object.keys(tools)
      .map((name) => lstatSync(places.command(name), { throwIfNoEntry: false })?.ino)
      .filter((ino) => ino !== undefined),
  )
  const removed: string[] = []
  for (const path of filesOf(places)) {
    const isLauncher = path.startsWith(join(places.bin, LAUNCHER))
    if (wanted.has(path) || (isLauncher && inUse.has(lstatSync(path).ino))) continue
    if (path.startsWith(places.binaries)) removeBinary(path)
    else rmSync(path)
    removed.push(path)
  }
  return [...removed, ...removeOldAnswers(places, Object.keys(tools))]
}

/** To requests that were files (docs/TOOLS.md). */
function removeOldAnswers(places: ToolPlaces, names: readonly string[]): string[] {
  const old = names
    .filter((name) => hasOwnDirectory(name) && existsSync(places.invoke(name)))
    .flatMap((name) => readdirSync(places.invoke(name)).map((file) => join(places.invoke(name), file)))
    .filter((path) => path.endsWith(".answer.json") && lstatSync(path).mtimeMs < Date.now() - ANSWER_MS)
  for (const path of old) rmSync(path, { force: true })
  return old
}

/** The files that belong to tools: all of three directories, and what was left beside the registry. */
function filesOf(places: ToolPlaces): string[] {
  const in_ = (directory: string): string[] =>
    readdirSync(directory, { withFileTypes: true })
      .filter((each) => each.isFile())
      .map(({ name }) => join(directory, name))
  const beside = in_(places.tools).filter((path) => path.startsWith(join(places.tools, UNFINISHED)))
  return [...beside, ...[places.definitions, places.binaries, places.bin].flatMap(in_)]
}
