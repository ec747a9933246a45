/** The rows of whole programs: git, grep, npm, and 10,000 files through Node. */
import { join } from "node:path"
import { numbers } from "./command.ts"
import { dropAll } from "./disk.ts"
import { fillNpmCache, generateRepository, gitEnv, npmFlags } from "./fixtures.ts"
import type { Group } from "./group.ts"
import { freshDir, on, touchMemory } from "./group.ts"
import { compiled, source } from "./paths.ts"
import type { Target } from "./targets.ts"

const timeoutMs = 300_000

export const git = ({ isQuick }: { isQuick: boolean }): Group => {
  let repository = ""
  return {
    name: "git",
    rows: ["git", "grep"],
    targets: ["clawfs", "ext4", "passthrough", "gocryptfs"],
    rounds: isQuick ? 2 : 5,
    budgetSeconds: isQuick ? 12 : 130,
    setUp: async () => {
      repository = await generateRepository(isQuick ? 1000 : 5000)
    },
    round: async (bench, target) => {
      const dir = await freshDir(target, "git")
      const clone = join(dir, "clone")
      const timed = async (...argv: string[]): Promise<number> =>
        (await on(target, argv, { cwd: dir, env: gitEnv, timeoutMs })).seconds
      const search = (where: string): Promise<number> =>
        timed("sh", "-c", 'grep -r "reply request" "$0" | wc -l', where)
      await touchMemory(bench, 512)
      const result = new Map([
        ["git.clone", await timed("git", "clone", "-q", "--no-hardlinks", repository, clone)],
      ])
      result.set("git.status", await timed("git", "-C", clone, "status", "--porcelain"))
      result.set("grep.warm", await search(clone))
      await dropAll()
      await touchMemory(bench, 512)
      // A search elsewhere first: the programs themselves are cold as well.
      await search(source("npm"))
      result.set("grep.cold", await search(clone))
      result.set("git.remove", await timed("rm", "-rf", clone))
      return result
    },
  }
}

export const npm = ({ isQuick }: { isQuick: boolean }): Group => {
  let cache = ""
  return {
    name: "npm",
    rows: ["npm"],
    targets: ["clawfs", "ext4", "passthrough", "gocryptfs"],
    rounds: isQuick ? 1 : 4,
    budgetSeconds: isQuick ? 60 : 170,
    setUp: async () => {
      cache = await fillNpmCache()
    },
    round: async (bench, target) => {
      const dir = await freshDir(target, "npm")
      for (const name of ["package.json", "package-lock.json"])
        await on(target, ["cp", source("npm", name), dir])
      await touchMemory(bench, 768)
      const install = ["npm", "install", "--offline", ...npmFlags(cache)]
      const installed = await on(target, install, { cwd: dir, timeoutMs })
      const removed = await on(target, ["rm", "-rf", join(dir, "node_modules")], { timeoutMs })
      return new Map([
        ["npm.install", installed.seconds],
        ["npm.remove", removed.seconds],
      ])
    },
  }
}

/** AgentFS writes a few hundred files per second: a tenth of the files gives the same rate, if not a better one. */
const countFor = (target: Target, isQuick: boolean): number =>
  target.name.startsWith("agentfs") ? (isQuick ? 250 : 1000) : isQuick ? 1000 : 10_000

export const files = ({ isQuick }: { isQuick: boolean }): Group => ({
  name: "files",
  rows: ["files"],
  targets: ["clawfs", "ext4", "passthrough", "agentfs", "agentfs-nosync"],
  rounds: 3,
  budgetSeconds: isQuick ? 12 : 150,
  round: async (bench, target) => {
    await touchMemory(bench, 256)
    const isAgentfs = target.name.startsWith("agentfs")
    const path = isAgentfs ? join(target.dir, "agent.db") : await freshDir(target, "files")
    const worker = [
      compiled("files.js"),
      isAgentfs ? target.name : "dir",
      path,
      String(countFor(target, bench.isQuick)),
    ]
    const { stdout } = await on(target, [process.execPath, ...worker, source("peers", "package.json")], {
      timeoutMs,
    })
    if (isAgentfs) await on(target, ["sh", "-c", 'rm -f "$0"*', path])
    return new Map([...numbers(stdout)].map(([operation, rate]) => [`files.${operation}`, rate]))
  },
})
