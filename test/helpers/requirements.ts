/** What a test needs from the machine. A test that cannot run is skipped with the reason printed. */
import { accessSync, constants, existsSync } from "node:fs"
import { delimiter, join } from "node:path"
import type { TestContext } from "vitest"
import { mountFuseControl } from "./mountinfo.ts"
import { repository } from "./programs.ts"

/** The built command line program; CLAWFS_CLI names another build. */
export const cli = process.env["CLAWFS_CLI"] ?? join(repository, "dist", "clawfs", "cli", "main.js")

/** A directory that takes the place of a mount: the tests then judge the filesystem that it lies on. */
export const plainDirectory = process.env["TEST_DIR"]

/** The reason why there can be no mount here, or undefined. */
export function requireFuse(): string | undefined {
  if (!existsSync(cli)) return `${cli} is not built: run make build`
  if (process.getuid?.() !== 0) return "not root: mounting and the abort of hung mounts need it"
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK)
  } catch {
    return "/dev/fuse cannot be opened"
  }
  if (!mountFuseControl()) return "no fusectl at /sys/fs/fuse/connections: a hung mount could not be aborted"
  return undefined
}

/** The reason why the tests of this folder have nothing to run on. */
export const requireTarget = (): string | undefined =>
  plainDirectory === undefined ? requireFuse() : undefined

export function requirePrograms(...names: string[]): string | undefined {
  const missing = names.filter((name) => !isInstalled(name))
  return missing.length === 0 ? undefined : `not installed: ${missing.join(", ")}`
}

const isInstalled = (name: string): boolean =>
  (process.env["PATH"] ?? "").split(delimiter).some((directory) => existsSync(join(directory, name)))

/** Skips the running test for the first reason given. */
export function skipIf(context: TestContext, ...reasons: (string | undefined)[]): void {
  const reason = reasons.find((each) => each !== undefined)
  if (reason === undefined) return
  process.stderr.write(`skipped: ${context.task.name}: ${reason}\n`)
  context.skip(reason)
}
