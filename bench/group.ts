/** A group of rows and the interleaved rounds over its targets. */
import { join } from "node:path"
import { message, numbers, run } from "./command.ts"
import type { CommandOptions } from "./command.ts"
import { waitForQuiet } from "./machine.ts"
import type { Guard } from "./mounts.ts"
import { abortMount } from "./mounts.ts"
import type { Samples } from "./samples.ts"
import type { Target, TargetName } from "./targets.ts"

export interface Bench {
  readonly client: string
  readonly disk: string
  readonly guard: Guard
  readonly isQuick: boolean
  readonly wantsMillion: boolean
}

export interface Group {
  readonly name: string
  /** What its rows begin with: `--rows` selects by these and by the name. */
  readonly rows: readonly string[]
  readonly targets: readonly TargetName[]
  readonly rounds: number
  /** No further round starts when it is not expected to end within this time. */
  readonly budgetSeconds: number
  /** Once, before any target. */
  setUp?(bench: Bench): Promise<void>
  /** Once per target, not measured. */
  prepare?(bench: Bench, target: Target): Promise<void>
  /** One target's turn: rows and their values, in the unit of `unitOf`. */
  round(bench: Bench, target: Target): Promise<ReadonlyMap<string, number>>
  finish?(bench: Bench, target: Target): Promise<void>
}

export interface Failure {
  readonly group: string
  readonly target: TargetName
  readonly error: string
}

/** A command on a target: when it hangs, the target's connection is aborted, or it could not even be killed. */
export function on(
  target: Target,
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<{ stdout: string; seconds: number }> {
  return run(argv, { ...options, onTimeout: () => target.mount !== undefined && abortMount(target.mount) })
}

/** The client's figures in nanoseconds. */
export async function client(
  bench: Bench,
  target: Target,
  args: readonly (string | number)[],
  timeoutMs = 120_000,
): Promise<Map<string, number>> {
  return numbers((await on(target, [bench.client, ...args.map(String)], { timeoutMs })).stdout)
}

/** Free memory that this machine really has: see touch() in client.c. */
export async function touchMemory(bench: Bench, mebibytes: number): Promise<void> {
  await run([bench.client, "touch", String(mebibytes)])
}

/** An empty directory of the group's own on the target. */
export async function freshDir(target: Target, group: string): Promise<string> {
  const dir = join(target.dir, group)
  await on(target, ["rm", "-rf", dir])
  await on(target, ["mkdir", dir])
  return dir
}

export const dropArgument = (target: Target): string => target.mount ?? "-"

export const microseconds = (prefix: string, result: ReadonlyMap<string, number>): Map<string, number> =>
  new Map([...result].map(([row, nanoseconds]) => [`${prefix}${row}`, nanoseconds / 1000]))

interface GroupRun {
  readonly bench: Bench
  readonly group: Group
  readonly targets: readonly Target[]
  readonly samples: Samples
  readonly rounds: number | undefined
  readonly note: (text: string) => void
  /** Collects how busy the CPUs were before each round. */
  readonly busy: number[]
  /** How long rounds may still wait, together, for a machine that is busy with something else. */
  readonly patience: { seconds: number }
  /** What is left of the whole run for this group, beside its own budget. */
  readonly secondsLeft: number
}

/** Round-robin: every round visits every target once, each round starting with another one. */
export async function runGroup(plan: GroupRun): Promise<Failure[]> {
  const { bench, group, samples } = plan
  const failures: Failure[] = []
  let active = plan.targets.filter((target) => group.targets.includes(target.name))
  const attempt = async (target: Target, action: () => Promise<unknown> | undefined): Promise<void> => {
    try {
      await action()
    } catch (error) {
      failures.push({ group: group.name, target: target.name, error: message(error) })
      active = active.filter((other) => other !== target)
    }
  }
  const started = Date.now()
  if (active.length > 0) await group.setUp?.(bench)
  for (const target of active) await attempt(target, () => group.prepare?.(bench, target))
  let measuring = 0
  const budgetSeconds = Math.min(group.budgetSeconds, plan.secondsLeft - (Date.now() - started) / 1000)
  const rounds = plan.rounds ?? group.rounds
  let done = 0
  for (; done < rounds && active.length > 0; done++) {
    const elapsed = measuring / 1000
    if (plan.rounds === undefined && done > 0 && elapsed + elapsed / done > budgetSeconds) break
    plan.busy.push(await waitForQuiet(plan.patience))
    const began = Date.now()
    const first = done % active.length
    for (const target of [...active.slice(first), ...active.slice(0, first)]) {
      await run(["sync"])
      await attempt(target, async () => {
        for (const [row, value] of await group.round(bench, target))
          samples.record(row, target.name, done, value)
      })
    }
    measuring += Date.now() - began
  }
  for (const target of active) await attempt(target, () => group.finish?.(bench, target))
  const seconds = (from: number): string => ((Date.now() - from) / 1000).toFixed(0)
  plan.note(`${group.name}: ${done} of ${rounds} rounds, ${seconds(started)} s`)
  for (const { target, error } of failures) plan.note(`${group.name}: ${target} failed: ${error}`)
  return failures
}
