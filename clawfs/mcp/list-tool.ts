/** list: what is in a directory. */
import { listDirectory } from "./listing.ts"
import { tool, type Tool } from "./tool.ts"
import type { Workspace } from "./workspace.ts"

const MOST_ENTRIES = 1000

export function listTool(workspace: Workspace): Tool {
  return tool("list", {
    title: "List a directory",
    description:
      "List a directory's entries, sorted by name: type, size in bytes and path from the directory, with tabs between them. At most 1000 entries. Links are not followed; bytes of names that are no text are shown as \\xff, and may be given so in paths.",
    effect: "reads",
    run: ({ path, depth }) => {
      using tree = workspace.open()
      using directory = tree.openDirectory(tree.target(path))
      const { entries, isWhole } = listDirectory(directory, path, { depth, most: MOST_ENTRIES })
      const lines = entries.map(
        ({ kind, stat, path: inner }) =>
          `${kind}\t${kind === "file" ? stat.size : "-"}\t${inner}${kind === "directory" ? "/" : ""}`,
      )
      return [lines.join("\n"), remark(path, entries.length, isWhole)]
    },
  })
}

function remark(path: string, count: number, isWhole: boolean): string {
  const amount = `${count} ${count === 1 ? "entry" : "entries"} in ${path}`
  if (isWhole) return `[${amount}]`
  return `[the first ${amount}, there are more: list its directories one by one, or use search]`
}
