/** Where things of tools lie on a mount (P1.4). */
import { join } from "node:path"

export class ToolPlaces {
  readonly mountpoint: string
  readonly tools: string

  constructor(mountpoint: string) {
    this.mountpoint = mountpoint
    this.tools = join(mountpoint, "tools")
  }

  get registry(): string {
    return join(this.tools, "registry.json")
  }
  get lock(): string {
    return join(this.tools, ".lock")
  }
  get definitions(): string {
    return join(this.tools, "definitions")
  }
  get binaries(): string {
    return join(this.tools, "binaries")
  }
  /** A file for each tool: executing it runs the tool. */
  get bin(): string {
    return join(this.tools, "bin")
  }
  /** The version that runs. */
  definition(name: string): string {
    return join(this.definitions, `tool-${name}.json`)
  }
  definitionOf(name: string, version: string): string {
    return join(this.definitions, `tool-${name}-v${version}.json`)
  }
  binary(name: string, version: string): string {
    return join(this.binaries, binaryName(name, version))
  }
  /** Where requests for a tool are put as files; not for all (`hasOwnDirectory`). */
  invoke(name: string): string {
    return join(this.tools, name, "invoke")
  }
  command(name: string): string {
    return join(this.bin, name)
  }
  /** From the mount's root. */
  get policy(): string {
    return join(this.mountpoint, "system", "sandbox.json")
  }
  get runs(): string {
    return join(this.mountpoint, "system", "runs")
  }
}

/** The name of a tool may be that of another directory beside the registry. */
export function hasOwnDirectory(name: string): boolean {
  return name !== "bin" && name !== "binaries" && name !== "definitions"
}

export function binaryName(name: string, version: string): string {
  return `${name}-v${version}`
}
