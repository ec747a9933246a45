/** The tools of `clawfs mcp`: what each takes, for its checks and as the JSON schema that clients are shown. */
import { z } from "./zod.ts"
import { MEMORY_FIELDS, MemoryCommand } from "./memory-tool.ts"
import { SEARCH_MODES } from "./search-api.ts"

/** A path may be longer than the kernel takes, which then says so. */
const path = z.string().min(1).max(16_384)
/** In UTF-16 units; as JSON six times as many bytes at most, which a message has room for. */
const MOST_TEXT = 2 * 1024 * 1024
const text = z.string().max(MOST_TEXT)
const line = z.int().min(1)

const search = z.strictObject({
  query: z
    .string()
    .min(1)
    .max(10_000)
    .describe('words or a question; "quoted phrases", -not, path:, type:, ext: and since: narrow it down'),
  mode: z.enum(SEARCH_MODES).optional().describe("hybrid (default): by words and by meaning"),
  limit: z.int().min(1).max(50).default(10).describe("how many files at most"),
  path: path.optional().describe("only files below this directory"),
  fresh: z.boolean().optional().describe("wait up to 2 s until the index has what was written last"),
})

const read = z.strictObject({
  path: path.describe("the file"),
  first_line: line.default(1).describe("first line to read, counted from 1"),
  last_line: line.optional().describe("last line to read; default: the end"),
  line_numbers: z.boolean().default(false).describe("put its number and a tab in front of each line"),
})

const write = z.strictObject({
  path: path.describe("the file; directories that are missing are made"),
  content: text.describe("all of the file's text"),
  overwrite: z.boolean().default(false).describe("replace a file that exists"),
})

const edit = z.strictObject({
  path: path.describe("the file"),
  old_string: text
    .min(1)
    .describe("the text to replace, exactly as it is in the file, line breaks and blanks included"),
  new_string: text.describe("what to put there"),
  replace_all: z
    .boolean()
    .default(false)
    .describe("replace every occurrence; otherwise there must be exactly one"),
})

const list = z.strictObject({
  path: path.default(".").describe("the directory"),
  depth: z
    .int()
    .min(1)
    .max(10)
    .default(1)
    .describe("1: its own entries; more: those of directories in it too"),
})

const stat = z.strictObject({ path: path.describe("a file, directory or link") })

const memorySearch = z.strictObject({
  query: z.string().min(1).max(10_000).describe("what to look for, in natural language"),
  limit: z.int().min(1).max(20).default(5).describe("how many results at most"),
})

const memoryWrite = z.strictObject({
  content: text.optional().describe("what to write; needed unless old_string is given"),
  target: path
    .default("daily_log")
    .describe(
      "memory (MEMORY.md), daily_log (today's log), heartbeat (HEARTBEAT.md), bootstrap (empties BOOTSTRAP.md), or a path such as projects/alpha/notes.md",
    ),
  append: z.boolean().default(true).describe("add to what is there; false: replace it"),
  old_string: text
    .min(1)
    .optional()
    .describe("instead of writing content: replace this exact text in target"),
  new_string: text.optional().describe("with this"),
  replace_all: z.boolean().default(false).describe("every occurrence of old_string, not the first one alone"),
})

const memoryRead = z.strictObject({
  path: path.describe("a file of the memory, such as MEMORY.md or daily/2026-01-31.md"),
})

const memoryTree = z.strictObject({
  path: z.string().max(16_384).default("").describe("directory to begin with, empty for all"),
  depth: z.int().min(1).max(10).default(1).describe("1: its own entries"),
})

/**
 * A call as it comes. The SDK checks the rest of it, with an error that says what is wrong; a schema of ours that did not fit
 * would be told as an internal error.
 */
export const ToolCall = z.looseObject({ method: z.literal("tools/call") })

const TOOL_INPUTS = {
  search,
  read,
  write,
  edit,
  list,
  stat,
  memory: MemoryCommand,
  memory_search: memorySearch,
  memory_write: memoryWrite,
  memory_read: memoryRead,
  memory_tree: memoryTree,
} as const

export type ToolName = keyof typeof TOOL_INPUTS
export type ToolInput<N extends ToolName> = z.output<(typeof TOOL_INPUTS)[N]>

/** What clients are shown: an object, whatever the tool. */
export function inputSchemaOf(name: ToolName): { type: "object" } & Record<string, unknown> {
  const shape = name === "memory" ? MEMORY_FIELDS : TOOL_INPUTS[name]
  return { ...z.toJSONSchema(shape, { io: "input" }), type: "object" }
}

export type Parsed<T> = { readonly value: T } | { readonly problem: string }

/** A tool's arguments, or one sentence about what is wrong with them. */
export function parseInput<N extends ToolName>(name: N, value: unknown): Parsed<ToolInput<N>> {
  const parsed = TOOL_INPUTS[name].safeParse(value ?? {})
  // The table's row for N has the schema of N: TypeScript does not follow that.
  if (parsed.success) return { value: parsed.data as ToolInput<N> }
  const [issue] = parsed.error.issues
  return {
    problem: issue === undefined ? `${name}: invalid arguments` : `${name}: ${sentenceOf(issue, value)}`,
  }
}

function sentenceOf(issue: z.core.$ZodIssue, value: unknown): string {
  const name = issue.path.join(".")
  if (issue.code === "unrecognized_keys") return `there is no argument "${issue.keys.join('", "')}"`
  const [first] = issue.path
  const isMissing =
    issue.path.length === 1 &&
    first !== undefined &&
    !(first in ((value ?? {}) as Record<PropertyKey, unknown>))
  if (isMissing) return `the argument "${name}" is missing`
  if (name === "") return "the arguments are no object"
  return `the argument "${name}" does not fit (${issue.message.replace(/^Invalid (input|option): /, "")})`
}
