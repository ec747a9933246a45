/** `clawfs search --grep` against ripgrep on the same mount, with everything in caches. */
import { join } from "node:path"
import { spawnSync } from "node:child_process"
import { run } from "../command.ts"
import type { Daemon } from "./daemon.ts"
import { median, type Row } from "../rows.ts"

const ROUNDS = 5
/** Strings and expressions that few files have. */
const patterns = [
  "pthread_mutexattr_setrobust",
  "Levenshtein",
  "EAI_ADDRFAMILY|getaddrinfo_a",
  "quaternion\\w*\\(",
  "zzqx_not_there",
]

export async function* grep(daemon: Daemon, megabytes: number): AsyncGenerator<Row> {
  const directory = join(daemon.mountpoint, "workspaces", "corpus")
  if (spawnSync("rg", ["--version"]).status !== 0)
    throw new Error("ripgrep is missing: apt-get install ripgrep")
  const ours: number[] = []
  const theirs: number[] = []
  for (const pattern of patterns) {
    const mine = daemon.command("search", "--grep", "--", pattern, directory)
    const peer = ["rg", "-n", "--no-heading", "--no-ignore", "--hidden", "-a", "--", pattern, directory]
    const times: [number[], number[]] = [[], []]
    const lines = [0, 0]
    for (let turn = 0; turn < 2 * (ROUNDS + 1); turn += 1) {
      const i = turn % 2
      // Exit status 1: nothing was found.
      const argv = ["sh", "-c", '"$@" || [ $? = 1 ]', "sh", ...(i === 0 ? mine : peer)]
      const { seconds, stdout } = await run(argv, { timeoutMs: 600_000 })
      lines[i] = stdout.split("\n").length - 1
      // The first of each warms the caches.
      if (turn >= 2) times[i]?.push(seconds)
    }
    const [own, other] = times.map(median)
    ours.push(own ?? NaN)
    theirs.push(other ?? NaN)
    const note = `${((own ?? NaN) * 1000).toFixed(0)} ms against ${((other ?? NaN) * 1000).toFixed(0)} ms, ${lines.join(" and ")} lines`
    yield { name: `grep ${pattern}`, value: (other ?? NaN) / (own ?? NaN), unit: "x", note }
  }
  const ratios = theirs.map((time, i) => time / (ours[i] ?? NaN))
  yield {
    name: "grep.median",
    value: median(ratios),
    unit: "x",
    atLeast: 5,
    note: `of ripgrep, ${megabytes.toFixed(0)} MB`,
  }
}
