/** Installing a tool: checked first, then written, then named in the registry. Interrupted anywhere, nothing is half there. */
import { existsSync, linkSync, readFileSync, renameSync, rmSync } from "node:fs"
import { randomUUID } from "node:crypto"
import { join } from "node:path"
import type { SandboxPolicy } from "../../schema/sandbox.ts"
import type { RegistryEntry, ToolDefinition, ToolManifest } from "../../schema/tool.ts"
import { Fault } from "../core/fault.ts"
import { broadOnes, parseCapabilities, requireGrantable } from "./capability.ts"
import { UNFINISHED, syncDirectory, writeWhole } from "./files.ts"
import { setImmutable } from "./immutable.ts"
import { binaryName, type ToolPlaces } from "./places.ts"
import { interpreterOf, requireNative } from "./program.ts"
import { changeTools, readDefinition, readRegistry, sha256, writeRegistry } from "./registry.ts"
import { requireSecrets } from "./secrets.ts"
import type { Source } from "./source.ts"

export interface Installed {
  readonly definition: ToolDefinition
  /** It was there already, the same to the byte. */
  readonly isOld: boolean
  /** Root alone can make a file immutable; the hash guards it anyhow. */
  readonly isImmutable: boolean
}

export interface InstallOptions {
  readonly policy: SandboxPolicy
  /** Somebody has said yes to what reaches far. */
  readonly isAgreed: boolean
  /** The built launcher. */
  readonly launcher: string
}

/** Throws a `Fault` that says what is wrong; nothing has changed then. */
export async function install(
  places: ToolPlaces,
  source: Source,
  options: InstallOptions,
): Promise<Installed> {
  const definition = definitionOf(source, options)
  return await changeTools(places, () => commit(places, source, definition, options))
}

function definitionOf(
  { manifest, bytes, file }: Source,
  { policy, isAgreed }: InstallOptions,
): ToolDefinition {
  const { entry: _, hash, ...rest } = manifest
  const binaryHash = sha256(bytes)
  if (hash !== undefined && hash !== binaryHash)
    throw new Fault("invalid", `${file} is not what its manifest names: its hash is ${binaryHash}`, {
      hint: "somebody has changed it, or the manifest is of another version",
    })
  if (manifest.kind === "native") requireNative(bytes, file)
  else interpreterOf(bytes, file, manifest.interpreter)
  const capabilities = parseCapabilities(manifest.capabilities)
  requireGrantable(capabilities)
  requireSecrets(manifest, capabilities)
  requireWithin(manifest, policy)
  const broad = broadOnes(capabilities)
  if (broad.length > 0 && !isAgreed)
    throw new Fault("denied", `${manifest.tool_id} wants a lot: ${broad.join(", ")}`, {
      hint: "--yes installs it all the same",
    })
  return {
    ...rest,
    binary_path: `/clawfs/tools/binaries/${binaryName(manifest.tool_id, manifest.version)}`,
    binary_hash: binaryHash,
    binary_bytes: bytes.length,
    installed_at: new Date().toISOString(),
  }
}

function requireWithin(manifest: ToolManifest, { maximum }: SandboxPolicy): void {
  // A manifest without a limit gets the policy's.
  for (const [name, most] of Object.entries(maximum) as [keyof typeof maximum, number | null][])
    if (most !== null && (manifest[name] ?? 0) > most)
      throw new Fault("invalid", `${name} is ${manifest[name]}, the policy's maximum is ${most}`, {
        hint: "system/sandbox.json sets the maxima",
      })
}

function commit(
  places: ToolPlaces,
  { bytes }: Source,
  definition: ToolDefinition,
  { launcher }: InstallOptions,
): Installed {
  const { tool_id: name, version } = definition
  const registry = readRegistry(places)
  const entry = Object.hasOwn(registry.tools, name) ? registry.tools[name] : undefined
  const old = entry?.versions.find((each) => each.version === version)
  if (entry !== undefined && old !== undefined) return again(places, entry, definition, launcher)
  const binary = places.binary(name, version)
  writeBinary(binary, bytes)
  const isImmutable = setImmutable(binary, true)
  const text = `${JSON.stringify(definition, undefined, 2)}\n`
  writeWhole(places.definitionOf(name, version), text, 0o444)
  linkCommand(places, name, launcher)
  const installed = { version, binary_hash: definition.binary_hash, definition_hash: sha256(text) }
  const versions = [...(entry?.versions ?? []), installed]
  writeRegistry(places, { ...registry.tools, [name]: { enabled: true, current: version, versions } })
  showCurrent(places, name, version)
  return { definition, isOld: false, isImmutable }
}

/** What an interrupted installation, or one that was removed, left under the name is replaced. */
function writeBinary(path: string, bytes: Buffer): void {
  if (existsSync(path)) setImmutable(path, false)
  writeWhole(path, bytes, 0o555)
}

/** The same version once more: no change when it is the same, refused when it is not. */
function again(
  places: ToolPlaces,
  entry: RegistryEntry,
  definition: ToolDefinition,
  launcher: string,
): Installed {
  const { tool_id: name, version } = definition
  const there = readDefinition(places, name, entry, version)
  const isSame =
    JSON.stringify({ ...definition, installed_at: "" }) === JSON.stringify({ ...there, installed_at: "" })
  if (!isSame)
    throw new Fault("exists", `${name} ${version} is installed, with other contents`, {
      hint: "give it another version; versions that are installed never change",
    })
  linkCommand(places, name, launcher)
  return { definition: there, isOld: true, isImmutable: true }
}

/** `definitions/tool-NAME.json` is for people and programs to read; what runs is looked up in the registry. */
export function showCurrent(places: ToolPlaces, name: string, version: string): void {
  writeWhole(places.definition(name), readFileSync(places.definitionOf(name, version)), 0o444)
}

/** `bin/NAME`: a hard link to the launcher, which is in the directory once, named by its own hash. */
export function linkCommand(places: ToolPlaces, name: string, launcher: string): void {
  const bytes = launcherBytes(launcher)
  const shared = join(places.bin, `${LAUNCHER}${sha256(bytes).slice(7, 23)}`)
  if (!existsSync(shared)) writeWhole(shared, bytes, 0o555)
  const temporary = join(places.bin, `${UNFINISHED}${name}-${randomUUID()}`)
  linkSync(shared, temporary)
  renameSync(temporary, places.command(name))
  // A rename of one name over another of the same file does nothing and leaves both (rename(2)).
  rmSync(temporary, { force: true })
  syncDirectory(places.bin)
}

/** The launcher's own names in `bin` begin so. */
export const LAUNCHER = ".launcher-"

function launcherBytes(launcher: string): Buffer {
  try {
    return readFileSync(launcher)
  } catch (cause) {
    throw new Fault("unsupported", "the launcher of tools was not built", {
      cause,
      hint: "install gcc and libc6-dev, then: make build",
    })
  }
}
