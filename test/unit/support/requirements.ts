/**
 * What a unit test needs of the machine; without it the test is skipped and says why. As test/helpers/requirements.ts,
 * but light: that one loads the TypeScript compiler.
 */
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"
import type { TestContext } from "vitest"

const path = (process.env["PATH"] ?? "").split(delimiter)

export function requirePrograms(...names: string[]): string | undefined {
  const missing = names.filter((name) => !path.some((directory) => existsSync(join(directory, name))))
  return missing.length === 0 ? undefined : `not installed: ${missing.join(", ")}`
}

/** Skips the running test for the first reason given. */
export function skipIf(context: TestContext, ...reasons: (string | undefined)[]): void {
  const reason = reasons.find((each) => each !== undefined)
  if (reason === undefined) return
  process.stderr.write(`skipped: ${context.task.name}: ${reason}\n`)
  context.skip(reason)
}
