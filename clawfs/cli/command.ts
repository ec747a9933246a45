/** A command is data: what it is called, what it takes, what it does. `main.ts` does the rest. */
import { parseArgs, type ParseArgsConfig } from "node:util"
import type { ExitCode } from "./exit-code.ts"
import type { Terminal } from "./terminal.ts"

type OptionTable = NonNullable<ParseArgsConfig["options"]>

type Values<O extends OptionTable> = ReturnType<
  typeof parseArgs<{ options: O; allowPositionals: true; strict: true }>
>["values"]

export interface Invocation<O extends OptionTable> {
  readonly values: Values<O>
  readonly positionals: readonly string[]
  readonly terminal: Terminal
}

export interface Command {
  readonly name: string
  /** One line for the overview. */
  readonly summary: string
  /** The whole help text, hand-written; starts with "usage: ". */
  readonly help: string
  readonly options: OptionTable
  /** How many operands: at least and at most. */
  readonly operands: readonly [least: number, most: number]
  run(values: unknown, positionals: readonly string[], terminal: Terminal): Promise<ExitCode> | ExitCode
}

/** Ties the type of `run`'s values to `options`; the one cast is here. */
export function command<O extends OptionTable>(definition: {
  readonly name: string
  readonly summary: string
  readonly help: string
  readonly options: O
  readonly operands: readonly [least: number, most: number]
  readonly run: (invocation: Invocation<O>) => Promise<ExitCode> | ExitCode
}): Command {
  return {
    ...definition,
    run: (values, positionals, terminal) =>
      definition.run({ values: values as Values<O>, positionals, terminal }),
  }
}
