/**
 * Anthropic's memory tool (memory_20250818) as one tool: six commands on files below /memories, with the outputs and error
 * texts of its documentation (platform.claude.com, "Memory tool"), which models are trained on.
 */
import type { MemoryCommand } from "../../schema/memory-tool.ts"
import { Fault } from "../core/fault.ts"
import { renameAt } from "../sys/beneath.ts"
import { codeOf, failure } from "./failure.ts"
import { editFile } from "./file-tools.ts"
import { listDirectory, shortSize } from "./listing.ts"
import { MEMORIES, type Memory } from "./memory.ts"
import { removeAll } from "./remove.ts"
import { MAX_TEXT_BYTES, linesOf, numbered, readWhole } from "./text.ts"
import { tool, type Tool } from "./tool.ts"
import { kindOf, openFound, type Target, type Tree } from "./tree.ts"
import { writeFile } from "./write-file.ts"

const MOST_ENTRIES = 1000
const MOST_LINES = 999_999
/** Lines shown before and after a change. */
const AROUND = 2

type Input<C extends MemoryCommand["command"]> = Extract<MemoryCommand, { command: C }>

export function memoryTool(memory: Memory): Tool {
  return tool("memory", {
    title: "Memory",
    description:
      "Keep notes between conversations, as files below /memories. Commands: view a directory or file, create a file, str_replace and insert in one, delete and rename files and directories. View /memories before other work.",
    effect: memory.isReadOnly ? "reads" : "changes",
    run: (input) => {
      if (memory.isReadOnly && input.command !== "view")
        throw new Fault("read-only", `this server is read-only: ${input.command} is not possible`)
      using tree = memory.open()
      return [run(tree, input)]
    },
  })
}

function run(tree: Tree, input: MemoryCommand): string {
  switch (input.command) {
    case "view":
      return view(tree, input)
    case "create":
      return create(tree, input)
    case "str_replace":
      return replace(tree, input)
    case "insert":
      return insert(tree, input)
    case "delete":
      return remove(tree, input)
    case "rename":
      return rename(tree, input)
  }
}

/** The path must begin with /memories, as models write it. */
function targetOf(tree: Tree, path: string): Target {
  if (path.startsWith("/")) return tree.target(path)
  throw new Fault("invalid", `Error: The path ${path} does not begin with ${MEMORIES}`)
}

/** `work`, with the documentation's sentence for what does not exist. */
function orMissing<T>(sentence: string, work: () => T): T {
  try {
    return work()
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "not-found")
      throw new Fault("not-found", sentence, { cause: thrown })
    throw thrown
  }
}

function view(tree: Tree, { path, view_range: range }: Input<"view">): string {
  const target = targetOf(tree, path)
  const missing = `The path ${path} does not exist. Please provide a valid path.`
  using found = orMissing(missing, () => tree.find(target, { follow: true }))
  if (kindOf(found.stat) === "directory") return viewDirectory(tree, target, found.stat.size)
  using file = openFound(found, path)
  const lines = linesOf(readWhole(file, path))
  if (lines.length > MOST_LINES)
    throw new Fault("invalid", `File ${path} exceeds maximum line limit of 999,999 lines.`)
  const [first, last] = rangeOf(range, lines.length)
  const text = numbered(lines.slice(first - 1, last), first)
  return `Here's the content of ${path} with line numbers:\n${bounded(text)}`
}

function viewDirectory(tree: Tree, target: Target, size: bigint): string {
  using directory = tree.openDirectory(target)
  const skips = (name: string): boolean => name.startsWith(".") || name === "node_modules"
  const path = target.shown.replace(/(?<=.)\/+$/, "")
  const { entries, isWhole } = listDirectory(directory, path, { depth: 2, most: MOST_ENTRIES, skips })
  const rows = entries.map(
    ({ kind, stat, path: inner }) =>
      `${shortSize(stat.size)}\t${path}/${inner}${kind === "directory" ? "/" : ""}`,
  )
  return [
    `Here're the files and directories up to 2 levels deep in ${path}, excluding hidden items and node_modules:`,
    `${shortSize(size)}\t${path}`,
    ...rows,
    ...(isWhole ? [] : [`(there are more than ${MOST_ENTRIES})`]),
  ].join("\n")
}

function rangeOf(range: readonly number[] | undefined, count: number): [first: number, last: number] {
  if (range === undefined) return [1, count]
  const [first = 1, end = -1] = range
  const last = end === -1 ? count : end
  if (first >= 1 && last >= first && first <= Math.max(count, 1)) return [first, Math.min(last, count)]
  throw new Fault(
    "invalid",
    `Error: Invalid \`view_range\` parameter: [${first}, ${end}]. It should be within the range of lines of the file: [1, ${count}]`,
  )
}

/** Whole lines up to what one answer holds; the rest is for view_range. */
function bounded(text: string): string {
  if (text.length <= MAX_TEXT_BYTES) return text
  const cut = text.lastIndexOf("\n", MAX_TEXT_BYTES)
  return `${text.slice(0, cut < 0 ? MAX_TEXT_BYTES : cut)}\n(cut off here: use view_range to see more)`
}

function create(tree: Tree, { path, file_text: text }: Input<"create">): string {
  using slot = tree.slot(targetOf(tree, path), { make: true })
  try {
    writeFile(slot, Buffer.from(text), "nothing")
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "exists")
      throw new Fault("exists", `Error: File ${path} already exists`, { cause: thrown })
    throw thrown
  }
  return `File created successfully at: ${path}`
}

function replace(tree: Tree, { path, old_str: before, new_str: after }: Input<"str_replace">): string {
  const target = targetOf(tree, path)
  const missing = `Error: The path ${path} does not exist. Please provide a valid path.`
  requireNoDirectory(tree, target, missing)
  const edited = orMissing(missing, () =>
    editFile(tree, target, (text) => {
      const at = onlyPlace(text, path, before)
      const changed = text.slice(0, at) + after + text.slice(at + before.length)
      return { text: changed, result: { changed, at } }
    }),
  )
  return `The memory file has been edited. Here is the snippet showing the change (with line numbers):\n${snippet(edited.changed, edited.at, after)}`
}

function onlyPlace(text: string, path: string, before: string): number {
  const at = text.indexOf(before)
  if (at < 0)
    throw new Fault(
      "invalid",
      `No replacement was performed, old_str \`${before}\` did not appear verbatim in ${path}.`,
    )
  const lines: number[] = []
  for (let place = at; place >= 0; place = text.indexOf(before, place + before.length))
    lines.push(lineOf(text, place))
  if (lines.length === 1) return at
  throw new Fault(
    "invalid",
    `No replacement was performed. Multiple occurrences of old_str \`${before}\` in lines: ${lines.join(", ")}. Please ensure it is unique`,
  )
}

function snippet(text: string, at: number, after: string): string {
  const lines = linesOf(text)
  const first = Math.max(lineOf(text, at) - AROUND, 1)
  const last = lineOf(text, at + after.length) + AROUND
  return bounded(numbered(lines.slice(first - 1, last), first))
}

/** The line, from 1, that a place in a text is in. */
function lineOf(text: string, place: number): number {
  let line = 1
  for (let at = text.indexOf("\n"); at >= 0 && at < place; at = text.indexOf("\n", at + 1)) line += 1
  return line
}

function insert(tree: Tree, { path, insert_line: line, insert_text: added }: Input<"insert">): string {
  const target = targetOf(tree, path)
  const missing = `Error: The path ${path} does not exist`
  requireNoDirectory(tree, target, missing)
  orMissing(missing, () =>
    editFile(tree, target, (text) => {
      const lines = linesOf(text)
      if (line < 0 || line > lines.length)
        throw new Fault(
          "invalid",
          `Error: Invalid \`insert_line\` parameter: ${line}. It should be within the range of lines of the file: [0, ${lines.length}]`,
        )
      lines.splice(line, 0, added.replace(/\n$/, ""))
      return { text: `${lines.join("\n")}\n`, result: undefined }
    }),
  )
  return `The file ${path} has been edited.`
}

/** Text is edited in files alone; for the models a directory is no file that exists. */
function requireNoDirectory(tree: Tree, target: Target, sentence: string): void {
  using found = orMissing(sentence, () => tree.find(target, { follow: false }))
  if (kindOf(found.stat) === "directory") throw new Fault("not-found", sentence)
}

function remove(tree: Tree, { path }: Input<"delete">): string {
  const missing = `Error: The path ${path} does not exist`
  using slot = orMissing(missing, () => tree.slot(targetOf(tree, path), { make: false }))
  if (!removeAll(slot)) throw new Fault("not-found", missing)
  return `Successfully deleted ${path}`
}

function rename(tree: Tree, { old_path: from, new_path: to }: Input<"rename">): string {
  const missing = `Error: The path ${from} does not exist`
  using old = orMissing(missing, () => tree.slot(targetOf(tree, from), { make: false }))
  orMissing(missing, () => tree.find(targetOf(tree, from), { follow: false })[Symbol.dispose]())
  using next = tree.slot(targetOf(tree, to), { make: true })
  try {
    renameAt(old.directory.fd, old.name, next.directory.fd, next.name, false)
  } catch (thrown) {
    if (codeOf(thrown) === "ENOENT") throw new Fault("not-found", missing, { cause: thrown })
    if (codeOf(thrown) === "EEXIST")
      throw new Fault("exists", `Error: The destination ${to} already exists`, { cause: thrown })
    throw failure(from, thrown)
  }
  return `Successfully renamed ${from} to ${to}`
}
