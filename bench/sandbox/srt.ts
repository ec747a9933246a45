/** The sandbox of `@anthropic-ai/sandbox-runtime` (npm): bubblewrap with proxies, as a command for a shell. */
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { installPeers } from "../fixtures.ts"

interface Manager {
  initialize(config: object): Promise<void>
  wrapWithSandbox(command: string): Promise<string>
  reset(): Promise<void>
}

export interface Srt extends AsyncDisposable {
  /** How it starts `program`; made anew for each time, as its users have to. */
  argv(program: string): Promise<readonly string[]>
}

/** What it is, or why it can't be measured. */
export async function prepareSrt(): Promise<Srt | string> {
  try {
    await installPeers()
    const root = fileURLToPath(new URL("../../../bench/peers/node_modules/", import.meta.url))
    const path = join(root, "@anthropic-ai", "sandbox-runtime", "dist", "index.js")
    const { SandboxManager } = (await import(pathToFileURL(path).href)) as { SandboxManager: Manager }
    await SandboxManager.initialize({
      network: { allowedDomains: [], deniedDomains: [] },
      filesystem: { denyRead: [], allowWrite: ["/tmp"], denyWrite: [] },
    })
    return {
      argv: async (program) => ["/bin/bash", "-c", await SandboxManager.wrapWithSandbox(program)],
      [Symbol.asyncDispose]: () => SandboxManager.reset(),
    }
  } catch (thrown) {
    return `sandbox-runtime: ${thrown instanceof Error ? thrown.message : String(thrown)}`
  }
}
