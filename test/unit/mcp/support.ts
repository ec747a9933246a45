/** A directory to be confined to, with something outside of it, and tools on it. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { memoryIn } from "../../../clawfs/mcp/memory.ts"
import { toolsOf } from "../../../clawfs/mcp/tools.ts"
import { Workspace } from "../../../clawfs/mcp/workspace.ts"
import { temporary } from "../support/temporary.ts"

export const SECRET = "what is outside"

export interface Confined extends Disposable {
  /** Where `root`, `outside` and `outside/secret` are. */
  readonly base: string
  readonly root: string
  readonly workspace: Workspace
  /** The answer's texts, or "Error: …" with the sentence. */
  call(name: string, input: Record<string, unknown>): Promise<string>
}

export function confined({ isReadOnly = false } = {}): Confined {
  const place = temporary()
  const root = join(place.path, "root")
  mkdirSync(root)
  mkdirSync(join(place.path, "outside"))
  writeFileSync(join(place.path, "outside", "secret"), SECRET)
  const workspace = new Workspace(root)
  const memory = memoryIn(workspace, isReadOnly)
  const tools = toolsOf({ groups: ["files", "memory", "ironclaw"], workspace, memory, isReadOnly })
  const { signal } = new AbortController()
  return {
    ...{ base: place.path, root, workspace },
    call: async (name, input) => {
      const tool = tools.find((each) => each.name === name)
      if (tool === undefined) throw new Error(`no tool ${name}`)
      try {
        return (await tool.call(input, { signal })).join("\n")
      } catch (thrown) {
        return `Error: ${thrown instanceof Error ? thrown.message : String(thrown)}`
      }
    },
    [Symbol.dispose]: () => place[Symbol.dispose](),
  }
}
