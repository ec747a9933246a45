/** Commands of Anthropic's memory tool (memory_20250818), whose inputs models know. */
import { z } from "./zod.ts"

const MOST_TEXT = 2 * 1024 * 1024
const path = z.string().min(1).max(16_384)
const text = z.string().max(MOST_TEXT)
const range = z.array(z.int()).length(2)

export const MemoryCommand = z.discriminatedUnion("command", [
  z.strictObject({ command: z.literal("view"), path, view_range: range.optional() }),
  z.strictObject({ command: z.literal("create"), path, file_text: text }),
  z.strictObject({
    command: z.literal("str_replace"),
    path,
    old_str: text.min(1),
    new_str: text.default(""),
  }),
  z.strictObject({ command: z.literal("insert"), path, insert_line: z.int(), insert_text: text }),
  z.strictObject({ command: z.literal("delete"), path }),
  z.strictObject({ command: z.literal("rename"), old_path: path, new_path: path }),
])
export type MemoryCommand = z.output<typeof MemoryCommand>

/** The same without what depends on the command: a tool's schema is one object. */
export const MEMORY_FIELDS = z.strictObject({
  command: z.enum(["view", "create", "str_replace", "insert", "delete", "rename"]),
  path: path.optional().describe("for all but rename: a file or directory, such as /memories/notes.txt"),
  view_range: range.optional().describe("for view of a file: first and last line, from 1; -1 for the end"),
  file_text: text.optional().describe("for create: the file's text"),
  old_str: text.optional().describe("for str_replace: the text to replace, exactly; it must occur once"),
  new_str: text.optional().describe("for str_replace: what to put there; default: nothing"),
  insert_line: z.int().optional().describe("for insert: the line to insert behind; 0 for the beginning"),
  insert_text: text.optional().describe("for insert: the text"),
  old_path: path.optional().describe("for rename"),
  new_path: path.optional().describe("for rename: there must be nothing yet"),
})
