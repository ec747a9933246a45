/**
 * The MCP server on stdin and stdout, with the official SDK. Nothing but the protocol is ever written to stdout. It ends when
 * stdin does.
 *
 * Errors as MCP 2025-11-25 wants them: an unknown tool or a malformed request is a JSON-RPC error; whatever is wrong with a
 * tool's arguments or its work is a result with `isError`, as models are shown only those and can do better the next time.
 */
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js"
import {
  CallToolRequestSchema,
  ErrorCode,
  ListToolsRequestSchema,
  McpError,
  type CallToolResult,
  type Tool as ToolDescription,
} from "@modelcontextprotocol/sdk/types.js"
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises"
import { ToolCall } from "../../schema/mcp.ts"
import { Fault, describe } from "../core/fault.ts"
import { VERSION } from "../core/version.ts"
import { sentenceOf } from "./failure.ts"
import type { Tool } from "./tool.ts"

/** One line of the protocol, such as a file to write. The SDK's time for one grows with the square of it. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024
/** How long what was asked before stdin ended may still take. */
const LAST_ANSWERS_MS = 2000

export interface ServerOptions {
  readonly tools: readonly Tool[]
  /** What the model is told about the server. */
  readonly instructions: string
  /** What may be shown of an answer's texts, those of failures too. */
  readonly guard?: ((texts: readonly string[]) => readonly string[]) | undefined
  /** A remark for people, on stderr. */
  readonly note: (text: string) => void
}

/** Serves until stdin ends. Throws a `Fault` when the client sends more in one message than can be taken. */
export async function serve({
  tools,
  instructions,
  guard = (texts) => texts,
  note,
}: ServerOptions): Promise<void> {
  const { server } = new McpServer({ name: "clawfs", version: VERSION }, { instructions })
  const gone = new AbortController()
  const running = new Set<Promise<unknown>>()
  server.registerCapabilities({ tools: {} })
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: tools.map(describeTool) }))
  server.setRequestHandler(ToolCall, async (request, { signal }) => {
    const { params } = CallToolRequestSchema.parse(request)
    const tool = tools.find(({ name }) => name === params.name)
    if (tool === undefined) throw new McpError(ErrorCode.InvalidParams, `there is no tool "${params.name}"`)
    const found = answered(tool, params.arguments, AbortSignal.any([signal, gone.signal]))
    const answer = found.then((result) => guarded(result, guard))
    running.add(answer)
    try {
      return await answer
    } finally {
      running.delete(answer)
    }
  })
  server.onerror = (error) => note(`a message is not understood: ${describe(error).split("\n", 1).join("")}`)
  const isGivenUp = new Promise<boolean>((resolve) => {
    const end = (): void => resolve(false)
    process.stdin.once("end", end).once("close", end).once("error", end)
    server.onclose = () => resolve(true)
  })
  await server.connect(
    new StdioServerTransport(process.stdin, process.stdout, { maxBufferSize: MAX_MESSAGE_BYTES }),
  )
  if (await isGivenUp)
    throw new Fault("io", `the client has sent more than ${MAX_MESSAGE_BYTES / 1024 ** 2} MiB in one message`)
  await Promise.race([settled(running), sleep(LAST_ANSWERS_MS, undefined, { ref: false })])
  gone.abort()
  await server.close()
}

/** The answers are written too, not only found. */
async function settled(running: ReadonlySet<Promise<unknown>>): Promise<void> {
  await turn()
  while (running.size > 0) {
    await Promise.allSettled(running)
    await turn()
  }
}

interface Answer {
  readonly texts: readonly string[]
  readonly isError: boolean
}

async function answered(tool: Tool, input: unknown, signal: AbortSignal): Promise<Answer> {
  try {
    return { texts: await tool.call(input, { signal }), isError: false }
  } catch (thrown) {
    return { texts: [sentenceOf(thrown)], isError: true }
  }
}

function guarded({ texts, isError }: Answer, guard: NonNullable<ServerOptions["guard"]>): CallToolResult {
  try {
    return resultOf(guard(texts), isError)
  } catch (thrown) {
    return resultOf([sentenceOf(thrown)], true)
  }
}

function resultOf(texts: readonly string[], isError: boolean): CallToolResult {
  const content = texts.map((text) => ({ type: "text" as const, text }))
  return isError ? { content, isError } : { content }
}

function describeTool({ name, title, description, inputSchema, effect }: Tool): ToolDescription {
  const annotations = {
    title,
    readOnlyHint: effect === "reads",
    destructiveHint: effect === "changes",
    openWorldHint: false,
  }
  return { name, title, description, inputSchema, annotations }
}
