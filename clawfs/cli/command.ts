/**
 * A command is data: what it is called, what it takes, what it does. `main.ts` runs it; help texts, shell completion and
 * docs/CLI.md come from the same table. `run` imports its work when it is called, so that help and completion need no
 * native module.
 */
import type { ExitCode, PassedOn } from "./exit-code.ts"
import type { Terminal } from "./terminal.ts"

/** What a shell offers for a value. */
export type Completion = "directory" | "mountpoint" | "user" | "group" | readonly string[]

export interface Option {
  readonly type: "boolean" | "string"
  readonly short?: string
  /** What the value is called in the help, such as SECONDS; strings have one. */
  readonly value?: string
  readonly completes?: Completion
  /** Shown in the help; up to the first semicolon it is the description in a shell's completion. */
  readonly help: string
}
export type OptionTable = Readonly<Record<string, Option>>

export interface Operand {
  readonly name: string
  readonly optional?: true
  /** The last one, of which there may be many. */
  readonly rest?: true
  readonly completes: Completion
}

type Values<O extends OptionTable> = {
  readonly [Name in keyof O]?: O[Name]["type"] extends "boolean" ? boolean : string
}

export interface Invocation<O extends OptionTable> {
  readonly values: Values<O>
  readonly operands: readonly string[]
  readonly terminal: Terminal
}

interface Definition {
  readonly name: string
  /** One line for the overview. */
  readonly summary: string
  /** What follows the name in the usage line. */
  readonly usage: string
  /** Paragraphs, wrapped by hand. */
  readonly description: string
  readonly operands: readonly Operand[]
  /** Behind so many operands every word is another program's, options too; undefined when all are ours. */
  readonly ownOperands?: (first: string | undefined) => number | undefined
  /** Further parts of the help, such as examples. */
  readonly sections?: readonly { readonly title: string; readonly text: string }[]
  readonly exits: readonly (readonly [code: ExitCode, meaning: string])[]
}

export interface Command extends Definition {
  readonly options: OptionTable
  run(values: unknown, operands: readonly string[], terminal: Terminal): Promise<ExitCode | PassedOn>
}

/** Ties the type of `run`'s values to `options`; the one cast is here. */
export function command<O extends OptionTable>(
  definition: Definition & {
    readonly options: O
    readonly run: (invocation: Invocation<O>) => Promise<ExitCode | PassedOn>
  },
): Command {
  return {
    ...definition,
    run: (values, operands, terminal) => definition.run({ values: values as Values<O>, operands, terminal }),
  }
}

/** The command line is wrong: exit status 64. `hint` replaces the pointer to the help. */
export class UsageError extends Error {
  readonly hint: string | undefined

  constructor(message: string, hint?: string) {
    super(message)
    this.hint = hint
  }
}
