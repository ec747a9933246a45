/** A tool is data: what clients are told of it, and what it does with arguments that fit its schema. */
import { inputSchemaOf, parseInput, type ToolInput, type ToolName } from "../../schema/mcp.ts"
import { Fault } from "../core/fault.ts"

export interface CallOptions {
  /** The client is gone: what is still waited for is not needed any more. */
  readonly signal: AbortSignal
}

/** Pieces of text; the last one may be a remark about those before. */
export type Answer = readonly string[]

interface Definition {
  readonly title: string
  readonly description: string
  readonly effect: "reads" | "changes"
}

export interface Tool extends Definition {
  readonly name: ToolName
  readonly inputSchema: ReturnType<typeof inputSchemaOf>
  /** Throws a `Fault` for whatever can't be done, wrong arguments included. */
  call(input: unknown, options: CallOptions): Promise<Answer>
}

/** Ties the type of `run`'s input to the tool's name. */
export function tool<N extends ToolName>(
  name: N,
  definition: Definition & {
    readonly run: (input: ToolInput<N>, options: CallOptions) => Answer | Promise<Answer>
  },
): Tool {
  const { run, ...rest } = definition
  return {
    ...rest,
    name,
    inputSchema: inputSchemaOf(name),
    call: async (input, options) => {
      const parsed = parseInput(name, input)
      if ("problem" in parsed) throw new Fault("invalid", parsed.problem)
      return await run(parsed.value, options)
    },
  }
}
