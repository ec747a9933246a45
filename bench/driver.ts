/** What the benchmarks of search and of the store have in common: options, a folder to work in, rows as they come, a file of them. */
import { mkdirSync, writeFileSync } from "node:fs"
import { loadavg } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { message, stopCommands } from "./command.ts"
import { busyPercent, describeMachine } from "./machine.ts"
import { claimWorkDir, ensureFusectl, Guard, removeWork, workDir } from "./mounts.ts"
import { source } from "./paths.ts"
import { printRow, type Row } from "./rows.ts"

export interface Job {
  /** Of the file with the results. */
  readonly name: string
  readonly usage: string
  readonly parts: readonly string[]
  /** Numbers that may be given, with their defaults. */
  readonly numbers?: Readonly<Record<string, number>>
  measure(only: ReadonlySet<string>, guard: Guard, options: Options): AsyncGenerator<Row>
}

export interface Options {
  /** Where to work: exists, is empty, and is removed afterwards. */
  readonly work: string
  readonly dir: string
  readonly numbers: Readonly<Record<string, number>>
}

/** Runs what the command line asks for; sets the exit code. */
export async function drive(job: Job): Promise<void> {
  try {
    await driven(job)
  } catch (error) {
    process.stderr.write(`bench: ${message(error)}\n`)
    process.exitCode = 1
  }
}

async function driven({ name, usage, parts, numbers = {}, measure }: Job): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: parts.join(",") },
      dir: { type: "string", default: "/var/tmp" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
      ...Object.fromEntries(
        Object.entries(numbers).map(
          ([key, value]) => [key, { type: "string", default: String(value) }] as const,
        ),
      ),
    },
  })
  if (values.help) {
    process.stdout.write(usage)
    return
  }
  const given = values as Readonly<Record<string, unknown>>
  const only = new Set(values.only.split(","))
  const stranger = [...only].find((part) => !parts.includes(part))
  if (stranger !== undefined) throw new Error(`there is no part "${stranger}", but ${parts.join(", ")}`)
  claimWorkDir(values.dir)
  const guard = new Guard()
  const work = workDir(values.dir)
  guard.add(() => removeWork(work))
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(signal, () => {
      stopCommands()
      guard.release()
      process.exit(130)
    })
  process.on("exit", () => guard.release())
  ensureFusectl(guard)
  const machine = await describeMachine()
  const busy = await busyPercent(1000)
  process.stdout.write(
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, ${machine.revision}; busy before: ${busy.toFixed(0)} %\n`,
  )
  const rows: Row[] = []
  const numbersGiven = Object.fromEntries(Object.keys(numbers).map((key) => [key, Number(given[key])]))
  for await (const row of measure(only, guard, { work, dir: values.dir, numbers: numbersGiven })) {
    rows.push(row)
    printRow(row)
  }
  const date = new Date()
    .toISOString()
    .replace(/\.\d+Z$/, "")
    .replaceAll(":", "-")
  const file = values.json ?? source("results", `${name}-${date}.json`)
  mkdirSync(join(file, ".."), { recursive: true })
  writeFileSync(file, `${JSON.stringify({ machine, busy, load: loadavg(), rows }, undefined, 2)}\n`)
}
