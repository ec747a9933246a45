/** search: which files of the workspace say something. */
import type { SearchResponse, SearchHit } from "../../schema/search-api.ts"
import { searchBelow } from "./searcher.ts"
import { tool, type Tool } from "./tool.ts"
import type { Workspace } from "./workspace.ts"

export function searchTool(workspace: Workspace): Tool {
  return tool("search", {
    title: "Search files",
    description:
      "Find files by what they say, by words and by meaning: text, source code, PDF, HTML, office files and mail. Best first, with the lines that match; read shows more of them. Use this before listing directories.",
    effect: "reads",
    run: async ({ query, mode, limit, path, fresh }, { signal }) => {
      const question = { query, limit, ...(mode && { mode }), ...(fresh !== undefined && { fresh }) }
      const directory = path === undefined ? "" : realDirectory(workspace, path)
      const answer = await searchBelow(workspace, directory, question, signal)
      return [answer.results.map(describeResult).join("\n\n"), remarkOn(answer)]
    },
  })
}

/** Where a directory is that a client names, from the workspace's own; links inside are resolved. */
function realDirectory(workspace: Workspace, path: string): string {
  using tree = workspace.open()
  using directory = tree.subtree(tree.target(path), [], { make: false })
  return workspace.pathOf(directory)
}

function describeResult(result: SearchHit, at: number): string {
  const { path, score, title, heading, firstLine, lastLine, snippet } = result
  const lines =
    firstLine === null
      ? ""
      : `:${firstLine}${lastLine === null || lastLine === firstLine ? "" : `-${lastLine}`}`
  const about = [title, heading].filter((part) => part !== "").join(" > ")
  const head = `${at + 1}. ${path}${lines} (score ${score.toFixed(3)})${about === "" ? "" : ` ${about}`}`
  if (snippet === null || snippet.text === "") return head
  const text = snippet.text.replace(/\n+$/, "").replace(/^/gm, "   ")
  return `${head}\n${text}`
}

function remarkOn({ results, degraded, milliseconds, isFresh }: SearchResponse): string {
  const found =
    results.length === 0 ? "nothing found" : `${results.length} ${results.length === 1 ? "file" : "files"}`
  const parts = [
    `${found} in ${milliseconds.toFixed(0)} ms`,
    ...degraded,
    ...(isFresh ? [] : ["the index does not have the newest changes yet"]),
  ]
  return `[${parts.join("; ")}]`
}
