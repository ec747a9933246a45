/** Taking tools away, and switching them on and off. */
import { existsSync, readdirSync, rmSync, rmdirSync } from "node:fs"
import { dirname, join } from "node:path"
import type { RegistryEntry } from "../../schema/tool.ts"
import { showCurrent } from "./install.ts"
import { setImmutable } from "./immutable.ts"
import { hasOwnDirectory, type ToolPlaces } from "./places.ts"
import { changeTools, entryOf, readDefinition, readRegistry, writeRegistry } from "./registry.ts"

/** All versions. What runs at the moment goes on to its end. */
export async function remove(places: ToolPlaces, name: string): Promise<void> {
  await changeTools(places, () => {
    const registry = readRegistry(places)
    const { versions } = entryOf(registry, name)
    const { [name]: _, ...others } = registry.tools
    writeRegistry(places, others)
    rmSync(places.command(name), { force: true })
    rmSync(places.definition(name), { force: true })
    if (hasOwnDirectory(name)) removeRequests(places.invoke(name))
    for (const { version } of versions) removeVersion(places, name, version)
  })
}

/** Where anybody may put what he likes: nothing is removed by a path that leads on from there. What has something in it stays. */
function removeRequests(directory: string): void {
  if (!existsSync(directory)) return
  for (const each of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, each.name)
    if (each.isDirectory()) rmdirIfEmpty(path)
    else rmSync(path, { force: true })
  }
  rmdirIfEmpty(directory)
  rmdirIfEmpty(dirname(directory))
}

function rmdirIfEmpty(path: string): void {
  try {
    rmdirSync(path)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ENOTEMPTY") throw thrown
  }
}

export function removeVersion(places: ToolPlaces, name: string, version: string): void {
  rmSync(places.definitionOf(name, version), { force: true })
  removeBinary(places.binary(name, version))
}

export function removeBinary(path: string): void {
  if (!existsSync(path)) return
  setImmutable(path, false)
  rmSync(path)
}

/** `version`: the one to run from now on; without it, the same as before. */
export async function enable(places: ToolPlaces, name: string, version?: string): Promise<RegistryEntry> {
  return await changeTools(places, () => {
    const registry = readRegistry(places)
    const entry = entryOf(registry, name)
    const current = version ?? entry.current
    // Throws when there is no such version, or it is damaged.
    readDefinition(places, name, entry, current)
    const changed = { ...entry, enabled: true, current }
    writeRegistry(places, { ...registry.tools, [name]: changed })
    showCurrent(places, name, current)
    return changed
  })
}

export async function disable(places: ToolPlaces, name: string): Promise<void> {
  await changeTools(places, () => {
    const registry = readRegistry(places)
    writeRegistry(places, { ...registry.tools, [name]: { ...entryOf(registry, name), enabled: false } })
  })
}
