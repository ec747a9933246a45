/** Which tools a server offers. */
import { fileTools } from "./file-tools.ts"
import { ironclawTools } from "./ironclaw-tools.ts"
import { listTool } from "./list-tool.ts"
import type { Memory } from "./memory.ts"
import { memoryTool } from "./memory-tool.ts"
import { searchTool } from "./search-tool.ts"
import type { Tool } from "./tool.ts"
import type { Workspace } from "./workspace.ts"

export const TOOL_GROUPS = ["files", "memory", "ironclaw"] as const
export type ToolGroup = (typeof TOOL_GROUPS)[number]

export interface ToolsOptions {
  readonly groups: readonly ToolGroup[]
  readonly workspace: Workspace
  readonly memory: Memory
  /** Tools that change something are not offered. */
  readonly isReadOnly: boolean
}

export function toolsOf({ groups, workspace, memory, isReadOnly }: ToolsOptions): readonly Tool[] {
  const tools = [
    ...(groups.includes("files")
      ? [searchTool(workspace), listTool(workspace), ...fileTools(workspace)]
      : []),
    ...(groups.includes("memory") ? [memoryTool(memory)] : []),
    ...(groups.includes("ironclaw") ? ironclawTools(memory) : []),
  ]
  return isReadOnly ? tools.filter(({ effect }) => effect === "reads") : tools
}

/** What a model is told before its first call. */
export function instructionsFor({ groups, workspace, isReadOnly }: ToolsOptions): string {
  return [
    ...(groups.includes("files")
      ? [
          `Files below ${workspace.path}. Paths are relative to it, or absolute below it; nothing else can be reached.`,
        ]
      : []),
    ...(isReadOnly ? ["Nothing can be changed."] : []),
    ...(groups.includes("files")
      ? ["search finds files by what they say: use it before listing directories."]
      : []),
  ].join(" ")
}
