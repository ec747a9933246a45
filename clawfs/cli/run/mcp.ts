/** The work of `clawfs mcp`. */
import { existsSync, realpathSync } from "node:fs"
import { resolve } from "node:path"
import { LEAK_ACTIONS } from "../../../schema/vault-api.ts"
import { Fault } from "../../core/fault.ts"
import { LeakGuard } from "../../mcp/leak-guard.ts"
import { memoryAt, memoryIn } from "../../mcp/memory.ts"
import { serve } from "../../mcp/server.ts"
import { TOOL_GROUPS, instructionsFor, toolsOf, type ToolGroup } from "../../mcp/tools.ts"
import { Workspace } from "../../mcp/workspace.ts"
import { clawfsMounts, filesystemOf, isClawfs } from "../../sys/clawfs-mounts.ts"
import { UsageError } from "../command.ts"
import type { McpInvocation } from "../commands/mcp.ts"
import { ExitCode } from "../exit-code.ts"
import { closest } from "../suggest.ts"
import { vaultDirectory } from "../vault/place.ts"

export async function runMcp({ values, terminal }: McpInvocation): Promise<ExitCode> {
  const groups = groupsOf(values.tools, values.memory)
  const isReadOnly = values["read-only"] === true
  const workspace = new Workspace(resolve(values.root ?? defaultRoot()))
  const directory = values.memory === undefined ? undefined : resolve(values.memory)
  const memory = directory === undefined ? memoryIn(workspace, isReadOnly) : memoryAt(directory, isReadOnly)
  const options = { groups, workspace, memory, isReadOnly }
  // A working directory in the mount would keep it busy for as long as the client runs.
  process.chdir("/")
  const note = (text: string): void => terminal.note(text)
  using guard = guardOf(values)
  await serve({
    ...{ tools: toolsOf(options), instructions: instructionsFor(options), note },
    guard: guard === undefined ? undefined : (texts) => guard.check(texts),
  })
  return ExitCode.OK
}

function guardOf({ guard, vault }: McpInvocation["values"]): LeakGuard | undefined {
  if (guard === undefined) {
    if (vault === undefined) return undefined
    throw new UsageError("mcp: --vault is for --guard")
  }
  const action = LEAK_ACTIONS.find((each) => each === guard)
  if (action === undefined)
    throw new UsageError(`mcp: there is no --guard "${guard}"`, LEAK_ACTIONS.join(", "))
  const directory = vaultDirectory(vault)
  if (!existsSync(directory))
    throw new Fault("not-found", `there is no vault in ${directory}`, { hint: "clawfs vault init" })
  return new LeakGuard(directory, action)
}

function groupsOf(list: string | undefined, memory: string | undefined): ToolGroup[] {
  if (list === undefined) return memory === undefined ? ["files"] : ["files", "memory"]
  const groups = list.split(",").map(groupNamed)
  const hasMemory = groups.includes("memory") || groups.includes("ironclaw")
  if (memory !== undefined && !hasMemory)
    throw new UsageError("mcp: --memory is for the tools memory and ironclaw, which --tools leaves out")
  return groups
}

function groupNamed(name: string): ToolGroup {
  const group = TOOL_GROUPS.find((each) => each === name)
  if (group !== undefined) return group
  const similar = closest(name, TOOL_GROUPS)
  throw new UsageError(
    `mcp: --tools has no group "${name}"`,
    similar === undefined ? `there are ${TOOL_GROUPS.join(", ")}` : `did you mean ${similar}?`,
  )
}

function defaultRoot(): string {
  const here = filesystemOf(realpathSync("."))
  if (isClawfs(here)) return here.mountpoint
  const mounts = [...new Set(clawfsMounts().map(({ mountpoint }) => mountpoint))]
  const [only, another] = mounts
  if (only === undefined)
    throw new Fault("not-found", "no ClawFS is mounted", {
      hint: "mount one, or name a directory with --root PATH",
    })
  if (another === undefined) return only
  throw new UsageError(
    `mcp: several ClawFS are mounted (${mounts.join(", ")})`,
    "choose one with --root PATH",
  )
}
