/**
 * `tools/registry.json`: which tools there are. It is what counts: a version is installed when it stands there, and it is
 * replaced as a whole. Everything else in `tools` is written before it is named there.
 */
import { createHash } from "node:crypto"
import { closeSync, existsSync, lstatSync, mkdirSync, openSync, readdirSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { ToolDefinition, ToolRegistry, type RegistryEntry } from "../../schema/tool.ts"
import { Fault } from "../core/fault.ts"
import { flock } from "../sys/libc.ts"
import { readText, writeWhole } from "./files.ts"
import type { ToolPlaces } from "./places.ts"

const LOCK_EX_NB = 6
const LOCK_WAIT_MS = 10_000
const LOCK_POLL_MS = 20

export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`
}

/** One that has no tool where there is none. Throws `Fault("corrupt")` for one that can't be understood, or was lost. */
export function readRegistry(places: ToolPlaces): ToolRegistry {
  const text = readText(places.registry)
  if (text === undefined) {
    requireNoTools(places)
    return { format: 1, updated_at: new Date(0).toISOString(), tools: {} }
  }
  const registry = ToolRegistry.safeParse(parsed(text))
  if (registry.success) return registry.data
  throw new Fault("corrupt", `${places.registry} is damaged: ${registry.error.issues[0]?.message ?? ""}`, {
    hint: "restore the file, from a snapshot for example",
  })
}

/** A definition without a version is written when the registry has its tool: without the registry, cleaning up would take all tools. */
function requireNoTools(places: ToolPlaces): void {
  if (!existsSync(places.definitions)) return
  if (!readdirSync(places.definitions).some((name) => /^tool-[a-z0-9-]+\.json$/.test(name))) return
  throw new Fault("corrupt", `${places.registry} is missing, and tools are installed`, {
    hint: "restore the file, from a snapshot for example",
  })
}

/** Throws `Fault("not-found")` with what to do. */
export function entryOf(registry: ToolRegistry, name: string): RegistryEntry {
  const entry = Object.hasOwn(registry.tools, name) ? registry.tools[name] : undefined
  if (entry !== undefined) return entry
  throw new Fault("not-found", `there is no tool "${name}"`, { hint: "clawfs tool list shows them" })
}

/** As it was installed: its bytes are those that the registry has the hash of. Throws `Fault("corrupt")` otherwise. */
export function readDefinition(
  places: ToolPlaces,
  name: string,
  entry: RegistryEntry,
  version: string = entry.current,
): ToolDefinition {
  const installed = entry.versions.find((each) => each.version === version)
  if (installed === undefined)
    throw new Fault("not-found", `the tool "${name}" has no version ${version}`, {
      hint: `clawfs tool show ${name} lists them`,
    })
  const path = places.definitionOf(name, version)
  const text = readText(path)
  if (text === undefined || sha256(text) !== installed.definition_hash)
    throw new Fault("corrupt", `the definition of "${name}" ${version} is not as it was installed`, {
      hint: `clawfs tool remove ${name}, then install it again`,
    })
  return ToolDefinition.parse(JSON.parse(text))
}

export function writeRegistry(places: ToolPlaces, tools: ToolRegistry["tools"]): void {
  const registry: ToolRegistry = { format: 1, updated_at: new Date().toISOString(), tools: sorted(tools) }
  writeWhole(places.registry, `${JSON.stringify(registry, undefined, 2)}\n`, 0o644)
}

function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Runs `change` while no other command changes the tools of this mount. Makes the directories that are missing. */
export async function changeTools<T>(places: ToolPlaces, change: () => T): Promise<T> {
  requireDirectory(places.tools)
  const fd = openLock(places)
  try {
    for (const end = Date.now() + LOCK_WAIT_MS; flock(fd, LOCK_EX_NB) !== 0;) {
      if (Date.now() > end) throw new Fault("busy", "another command is changing the tools")
      await sleep(LOCK_POLL_MS)
    }
    for (const directory of [places.definitions, places.binaries, places.bin]) {
      mkdirSync(directory, { recursive: true, mode: 0o755 })
      requireDirectory(directory)
    }
    return change()
  } finally {
    closeSync(fd)
  }
}

function openLock(places: ToolPlaces): number {
  try {
    return openSync(places.lock, "w", 0o644)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EACCES") throw cause
    throw new Fault("denied", `no permission to change what is installed in ${places.tools}`, {
      cause,
      hint: "root and the owner of that directory may",
    })
  }
}

/** Not a link: a user of `tools` must not lead root elsewhere. */
function requireDirectory(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return
  throw new Fault("invalid", `${path} is no directory`, { hint: "clawfs init makes it in a new store" })
}

/** Undefined, which no schema takes, for what is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
}
