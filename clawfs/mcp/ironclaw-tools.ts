/**
 * memory_search, memory_write, memory_read and memory_tree with the inputs and answers of IronClaw's tools, so that an agent
 * that was written for them finds its memory here. Without versions and layers, which ClawFS has other means for.
 */
import { posix } from "node:path"
import type { ToolInput } from "../../schema/mcp.ts"
import { Fault } from "../core/fault.ts"
import { editFile } from "./file-tools.ts"
import { listDirectory, type Entry } from "./listing.ts"
import type { Memory } from "./memory.ts"
import { searchBelow } from "./searcher.ts"
import { readWhole } from "./text.ts"
import { tool, type Tool } from "./tool.ts"
import { findAt, type Target, type Tree } from "./tree.ts"
import { appendToFile, writeFile } from "./write-file.ts"

const MOST_ENTRIES = 2000
const MAIN = "MEMORY.md"
const HEARTBEAT = "HEARTBEAT.md"
const BOOTSTRAP = "BOOTSTRAP.md"
/** They become a part of the system prompt: what an agent was talked into must not get there. */
const IDENTITY_FILES: readonly string[] = ["IDENTITY.md", "SOUL.md", "AGENTS.md", "USER.md"]

export function ironclawTools(memory: Memory): readonly Tool[] {
  const reading = [searchTool(memory), readTool(memory), treeTool(memory)]
  return memory.isReadOnly ? reading : [...reading, writeTool(memory)]
}

const json = (value: unknown): readonly string[] => [JSON.stringify(value, undefined, 2)]

/** Paths here are those of the memory, not of the machine. */
function targetOf(tree: Tree, path: string): Target {
  if (/^[/~]|^[A-Za-z]:[\\/]/.test(path))
    throw new Fault(
      "invalid",
      `${path} is a path of the machine: memory paths are relative, such as projects/notes.md`,
      {
        hint: "for other files there are read and write",
      },
    )
  return tree.target(path === "" ? "." : path)
}

function searchTool(memory: Memory): Tool {
  return tool("memory_search", {
    title: "Search the memory",
    description:
      "Search past notes, decisions and context, by words and by meaning. Use it before answering questions about earlier work, dates, people, preferences or tasks.",
    effect: "reads",
    run: async ({ query, limit }, { signal }) => {
      const { workspace, directory } = memory.place()
      const answer = await searchBelow(workspace, directory, { query, limit }, signal)
      const base = directory === "" ? "" : `${directory}/`
      const results = answer.results
        .filter(({ path }) => path.startsWith(base))
        .map(({ path, score, snippet, firstLine }) => ({
          path: path.slice(base.length),
          content: snippet?.text ?? "",
          score,
          citation: `${path.slice(base.length)}#${firstLine ?? "chunk"}`,
        }))
      return json({ query, results, result_count: results.length, degraded: answer.degraded })
    },
  })
}

function readTool(memory: Memory): Tool {
  return tool("memory_read", {
    title: "Read from the memory",
    description: "Read a file of the memory as memory_tree shows it, such as MEMORY.md or a daily log.",
    effect: "reads",
    run: ({ path }) => {
      using tree = memory.open()
      using file = tree.openFile(targetOf(tree, path))
      const content = readWhole(file, path)
      const words = content.split(/\s+/).filter((word) => word !== "").length
      return json({ path, content, word_count: words, updated_at: file.stat().mtime.toISOString() })
    },
  })
}

function treeTool(memory: Memory): Tool {
  return tool("memory_tree", {
    title: "Structure of the memory",
    description: "Show the files and directories of the memory as a tree; directories end with a slash.",
    effect: "reads",
    run: ({ path, depth }) => {
      using tree = memory.open()
      using directory = tree.openDirectory(targetOf(tree, path))
      const { entries, isWhole } = listDirectory(directory, path, { depth, most: MOST_ENTRIES })
      const remark = isWhole ? [] : [`[only the first ${MOST_ENTRIES} entries]`]
      return [JSON.stringify(nested(entries, 1)), ...remark]
    },
  })
}

/** "name", "directory/", or { "directory/": [ … ] }. */
function nested(entries: readonly Entry[], depth: number): unknown[] {
  const own = entries.flatMap((entry, at) => (entry.depth === depth ? [at] : []))
  return own.map((at, index) => {
    const entry = entries[at]
    const inner = entries.slice(at + 1, own[index + 1] ?? entries.length)
    if (entry?.kind !== "directory") return entry?.name
    return inner.length === 0 ? `${entry.name}/` : { [`${entry.name}/`]: nested(inner, depth + 1) }
  })
}

function writeTool(memory: Memory): Tool {
  return tool("memory_write", {
    title: "Write to the memory",
    description:
      "Keep facts, decisions, preferences or lessons. Targets: memory for what should last, daily_log for notes with the time, heartbeat for the checklist, or a path. With old_string and new_string it changes a part of the target instead.",
    effect: "changes",
    run: (input) => {
      using tree = memory.open()
      return json(input.old_string === undefined ? write(tree, input) : patch(tree, input, input.old_string))
    },
  })
}

type WriteInput = ToolInput<"memory_write">

function write(tree: Tree, { content = "", target, append }: WriteInput): Record<string, unknown> {
  const path = pathOf(target)
  if (target === "bootstrap") {
    put(tree, path, "")
    return { status: "cleared", path }
  }
  if (content.trim() === "") throw new Fault("invalid", "memory_write: content is missing or empty")
  const isLog = target === "daily_log"
  const text = isLog ? `[${new Date().toISOString().slice(11, 19)}] ${content}` : content
  if (append || isLog) add(tree, path, text, target === "memory" ? "\n\n" : "\n")
  else put(tree, path, text)
  return { status: "written", path, append: append || isLog, content_length: Buffer.byteLength(content) }
}

function patch(
  tree: Tree,
  { target, new_string: after, replace_all: isAll }: WriteInput,
  before: string,
): Record<string, unknown> {
  const path = pathOf(target)
  if (after === undefined) throw new Fault("invalid", "memory_write: old_string needs new_string")
  const { count, length } = editFile(tree, targetOf(tree, path), (text) => {
    const found = text.split(before).length - 1
    if (found === 0) throw new Fault("invalid", `old_string does not occur in ${path}: nothing was changed`)
    // A function, as a text in its place has special signs.
    const changed = isAll ? text.replaceAll(before, () => after) : text.replace(before, () => after)
    return { text: changed, result: { count: isAll ? found : 1, length: Buffer.byteLength(changed) } }
  })
  return { status: "patched", path, replacements: count, content_length: length }
}

/** A target's path in the memory. Throws a `Fault` for the files that only people write. */
function pathOf(target: string): string {
  if (target === "memory") return MAIN
  if (target === "heartbeat") return HEARTBEAT
  if (target === "bootstrap") return BOOTSTRAP
  if (target === "daily_log") return `daily/${new Date().toISOString().slice(0, 10)}.md`
  const plain = posix.normalize(target).toLowerCase()
  if (IDENTITY_FILES.some((name) => name.toLowerCase() === plain))
    throw new Fault(
      "denied",
      `${target} is part of the agent's instructions, which this tool does not change`,
    )
  return target
}

function put(tree: Tree, path: string, text: string): void {
  using slot = tree.slot(targetOf(tree, path), { make: true })
  writeFile(slot, Buffer.from(text), "any")
}

/** In one write behind what is there: two that do this at once lose nothing. */
function add(tree: Tree, path: string, text: string, separator: string): void {
  using slot = tree.slot(targetOf(tree, path), { make: true })
  for (;;) {
    using old = findAt(slot)
    const isEmpty = old === undefined || old.stat.size === 0n
    if (appendToFile(slot, Buffer.from(isEmpty ? text : `${separator}${text}`))) return
    try {
      writeFile(slot, Buffer.from(text), "nothing")
      return
    } catch (thrown) {
      // Somebody else has made it just now: then it is added to.
      if (!(thrown instanceof Fault && thrown.kind === "exists")) throw thrown
    }
  }
}
