/** What the filter of system calls costs one of them: CPU time of getppid(2) in bubblewrap, with the filter of tools and without. */
import { spawnSync } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const CLIENT = fileURLToPath(new URL("../../../bench/monitor/client.c", import.meta.url))
const CALLS = 1_000_000

/** Nanoseconds of a call, each way in turn. `lists`: makes the filter's program of a list by name. */
export function filterCosts(
  directory: string,
  bwrap: readonly string[],
  compile: (list: string, output: string) => void,
  rounds: number,
): { readonly without: number[]; readonly filtered: number[] } {
  const [client, filter] = [join(directory, "client"), join(directory, "filter")]
  run("cc", ["-static", "-O2", "-o", client, CLIENT])
  compile("tool-spawn", filter)
  const words = ["--ro-bind", client, "/client", "--", "/client", "0", String(CALLS), "getppid"]
  const inBwrap = (...options: string[]): string[] => [...bwrap, ...options, ...words]
  const [without, filtered]: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round += 1) {
    without.push(nsOf(run("bwrap", inBwrap())))
    filtered.push(nsOf(run("sh", ["-c", 'exec bwrap "$@" 9<"$0"', filter, ...inBwrap("--seccomp", "9")])))
  }
  return { without, filtered }
}

function run(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { input: "\n", encoding: "utf8" })
  if (status !== 0) throw new Error(`${program}: ${stderr}`)
  return stdout
}

const nsOf = (output: string): number => Number(output.split("\n")[1]?.split(" ")[0])
