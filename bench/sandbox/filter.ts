/**
 * What the filter of system calls costs one of them: CPU time of getppid(2) in bubblewrap, with the filter of tools, without, and with
 * the shortest that there is, which allows everything: the kernel's way into a call is longer with any.
 */
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const CLIENT = fileURLToPath(new URL("../../../bench/monitor/client.c", import.meta.url))
const CALLS = 1_000_000
/** bpf(2): one struct sock_filter, BPF_RET | BPF_K with SECCOMP_RET_ALLOW */
const ALLOW_ALL = Buffer.from("060000000000ff7f", "hex")

/** Nanoseconds of a call, each way in turn. `lists`: makes the filter's program of a list by name. */
export function filterCosts(
  directory: string,
  bwrap: readonly string[],
  compile: (list: string, output: string) => void,
  rounds: number,
): Readonly<Record<"without" | "shortest" | "filtered", number[]>> {
  const [client, filter, shortest] = ["client", "filter", "shortest"].map((name) =>
    join(directory, name),
  ) as [string, string, string]
  writeFileSync(shortest, ALLOW_ALL)
  run("cc", ["-static", "-O2", "-o", client, CLIENT])
  compile("tool-spawn", filter)
  const words = ["--ro-bind", client, "/client", "--", "/client", "0", String(CALLS), "getppid"]
  const inBwrap = (...options: string[]): string[] => [...bwrap, ...options, ...words]
  const under = (program: string): number =>
    nsOf(run("sh", ["-c", 'exec bwrap "$@" 9<"$0"', program, ...inBwrap("--seccomp", "9")]))
  const costs = { without: [] as number[], shortest: [] as number[], filtered: [] as number[] }
  for (let round = 0; round < rounds; round += 1) {
    costs.without.push(nsOf(run("bwrap", inBwrap())))
    costs.shortest.push(under(shortest))
    costs.filtered.push(under(filter))
  }
  return costs
}

function run(program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { input: "\n", encoding: "utf8" })
  if (status !== 0) throw new Error(`${program}: ${stderr}`)
  return stdout
}

const nsOf = (output: string): number => Number(output.split("\n")[1]?.split(" ")[0])
