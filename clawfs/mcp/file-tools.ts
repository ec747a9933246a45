/** read, write, edit and stat on the files of a workspace. */
import { Fault } from "../core/fault.ts"
import { linesOf, numbered, readLines, readWhole, type Lines } from "./text.ts"
import { tool, type Tool } from "./tool.ts"
import { findAt, kindOf, linkTargetAt, openFound, type Target, type Tree } from "./tree.ts"
import type { Workspace } from "./workspace.ts"
import { writeFile } from "./write-file.ts"

export function fileTools(workspace: Workspace): readonly Tool[] {
  return [readTool(workspace), writeTool(workspace), editTool(workspace), statTool(workspace)]
}

function readTool(workspace: Workspace): Tool {
  return tool("read", {
    title: "Read a file",
    description:
      "Read a text file, or a range of its lines. At most 2000 lines or 64 KiB at once; the remark at the end says where to go on. Binary files are refused.",
    effect: "reads",
    run: ({ path, first_line: first, last_line: last, line_numbers: hasNumbers }) => {
      if (last !== undefined && last < first)
        throw new Fault("invalid", `last_line ${last} lies before first_line ${first}`)
      using tree = workspace.open()
      using file = tree.openFile(tree.target(path))
      const lines = readLines(file, path, { first, last })
      const text = hasNumbers ? numbered(linesOf(lines.text), first) : lines.text
      return [text, remarkOn(path, lines)]
    },
  })
}

/** Which lines these are, and what is missing. */
export function remarkOn(path: string, { first, last, isEnd, isLineCut, isUtf8 }: Lines): string {
  const parts =
    last < first
      ? ["the file is empty"]
      : [
          first === last ? `line ${first} of ${path}` : `lines ${first} to ${last} of ${path}`,
          ...(isLineCut ? [`line ${first} is longer than 64 KiB, its rest is left out`] : []),
          isEnd ? "the end of the file" : `more follows, go on with line ${last + 1}`,
        ]
  if (!isUtf8) parts.push("bytes that are no UTF-8 are shown as \ufffd")
  return `[${parts.join("; ")}]`
}

function writeTool(workspace: Workspace): Tool {
  return tool("write", {
    title: "Write a file",
    description:
      "Write a whole text file: readers see all of it or what was there before. Replaces an existing file only with overwrite; to change a part of one, use edit.",
    effect: "changes",
    run: ({ path, content, overwrite }) => {
      using tree = workspace.open()
      using slot = tree.slot(tree.target(path), { make: true })
      const bytes = Buffer.from(content)
      const hasReplaced = writeFile(slot, bytes, overwrite ? "any" : "nothing")
      return [`${hasReplaced ? "replaced" : "made"} ${path} (${bytes.length} bytes)`]
    },
  })
}

function editTool(workspace: Workspace): Tool {
  return tool("edit", {
    title: "Edit a file",
    description:
      "Replace an exact piece of a text file. It must occur exactly once, unless replace_all is set: take enough of the lines around it to make it unique.",
    effect: "changes",
    run: ({ path, old_string: before, new_string: after, replace_all: isAll }) => {
      if (before === after)
        throw new Fault("invalid", "old_string and new_string are the same: nothing to change")
      using tree = workspace.open()
      const count = editFile(tree, tree.target(path), (text) => replaced(text, path, before, after, isAll))
      return [`replaced ${count === 1 ? "1 occurrence" : `${count} occurrences`} in ${path}`]
    },
  })
}

/** Replaces `before` in `text`; every occurrence, or the only one. */
function replaced(
  text: string,
  path: string,
  before: string,
  after: string,
  isAll: boolean,
): { text: string; result: number } {
  const pieces = text.split(before)
  const count = pieces.length - 1
  if (count === 0) throw new Fault("invalid", `old_string does not occur in ${path}: nothing was changed`)
  if (count > 1 && !isAll)
    throw new Fault(
      "invalid",
      `old_string occurs ${count} times in ${path}: nothing was changed; give more of what stands around it, or set replace_all`,
    )
  return { text: pieces.join(after), result: count }
}

/**
 * Changes a file's text, unless somebody else does meanwhile. A link as the last name is not followed. Throws a `Fault`, and
 * then nothing is changed.
 */
export function editFile<T>(
  tree: Tree,
  target: Target,
  change: (text: string) => { text: string; result: T },
): T {
  using slot = tree.slot(target, { make: false })
  using found = findAt(slot)
  if (found === undefined) throw new Fault("not-found", `${target.shown} does not exist`)
  using file = openFound(found, target.shown)
  const version = file.stat()
  const { text, result } = change(readWhole(file, target.shown))
  writeFile(slot, Buffer.from(text), version)
  return result
}

function statTool(workspace: Workspace): Tool {
  return tool("stat", {
    title: "Attributes of a file",
    description:
      "Show type, size in bytes, mode, owner, times and, of a symbolic link, where it points. Links are not followed.",
    effect: "reads",
    run: ({ path }) => {
      using tree = workspace.open()
      const target = tree.target(path)
      using found = tree.find(target, { follow: false })
      const { size, mode, uid, gid, nlink, ino, mtime, ctime } = found.stat
      const type = kindOf(found.stat)
      const shape = {
        ...{ path, type, size: Number(size), mode: (Number(mode) & 0o7777).toString(8).padStart(4, "0") },
        ...{ uid: Number(uid), gid: Number(gid), links: Number(nlink), inode: Number(ino) },
        ...{ modified: mtime.toISOString(), changed: ctime.toISOString() },
        ...(type === "link" ? { target: linkTarget(tree, target) } : {}),
      }
      return [JSON.stringify(shape, undefined, 2)]
    },
  })
}

function linkTarget(tree: Tree, target: Target): string {
  using slot = tree.slot(target, { make: false })
  return linkTargetAt(slot)
}
