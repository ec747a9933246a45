/**
 * Runs the conformance tables against a directory. Every promise in them holds on ext4, and is expected of any mount.
 * Needs root: it acts under five sets of credentials and makes devices and private mounts.
 */
import { spawnSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import path from "node:path"
import { isKnownArchitecture } from "./abi.ts"
import { Aborted, type Case, type Group, Test } from "./check.ts"
import { Crew } from "./crew.ts"

export interface SuiteOptions {
  /** what to leave out; it is reported as skipped */
  readonly off?: readonly Group[]
  /** only cases whose "file: name" matches */
  readonly only?: RegExp
  /** how long one system call may take before its agent is killed */
  readonly timeoutMs?: number
  /** how long one case may take */
  readonly caseTimeoutMs?: number
}

export interface Failure {
  readonly file: string
  readonly name: string
  readonly message: string
}

export interface Report {
  readonly cases: number
  readonly checks: number
  readonly skipped: readonly string[]
  readonly failures: readonly Failure[]
  readonly seconds: number
}

export type Tables = Readonly<Record<string, readonly Case[]>>

/** Why the suite cannot run here, or undefined. */
export function obstacle(): string | undefined {
  if (process.platform !== "linux") return "needs Linux"
  if (!isKnownArchitecture) return `has no system call numbers for ${process.arch}`
  if (process.getuid?.() !== 0) return "needs root, to act under several credentials"
  return undefined
}

/** One run on one directory: the agents, a private subdirectory, and the results so far. */
export class Suite implements Disposable {
  readonly #crew: Crew
  readonly #options: SuiteOptions
  readonly #base: string
  #count = 0

  constructor(directory: string, options: SuiteOptions = {}) {
    this.#options = options
    this.#crew = new Crew(options.timeoutMs ?? 20_000)
    this.#base = path.join(directory, `posix-${randomUUID()}`)
    const made = this.#crew.get("root").mkdir(this.#base, 0o755)
    if (!made.isOk) throw new Error(`${made.toString()}: ${made.error}`)
    const found = this.#crew.get("stranger").stat(this.#base)
    if (!found.isOk) throw new Error(`every user must be able to reach ${directory}: ${found.error}`)
  }

  async run(file: string, cases: readonly Case[]): Promise<Report> {
    const started = performance.now()
    const failures: Failure[] = []
    const skipped: string[] = []
    let checks = 0
    let ran = 0
    for (const { name, group, run } of cases) {
      if (this.#options.only?.test(`${file}: ${name}`) === false) continue
      if (group !== undefined && this.#options.off?.includes(group) === true) {
        skipped.push(`${file}: ${name} (${group} is off)`)
        continue
      }
      const fail = (message: string) => failures.push({ file, name, message })
      this.#runCase(run, { check: () => checks++, fail })
      ran++
      if (ran % 50 === 0) await new Promise(setImmediate)
    }
    return { cases: ran, checks, skipped, failures, seconds: (performance.now() - started) / 1000 }
  }

  #runCase(run: Case["run"], recorder: { check: () => void; fail: (message: string) => void }): void {
    let test: Test | undefined
    this.#crew.allow(this.#options.caseTimeoutMs ?? 30_000)
    try {
      test = new Test(this.#crew, recorder, path.join(this.#base, String(++this.#count)))
      run(test)
    } catch (error) {
      if (!(error instanceof Aborted)) recorder.fail(String(error))
    }
    try {
      test?.finish()
    } catch (error) {
      recorder.fail(`cleaning up: ${String(error)}`)
    }
  }

  /** Names of any bytes and paths of any depth: rm(1) can, fs.rm cannot. */
  [Symbol.dispose](): void {
    this.#crew[Symbol.dispose]()
    spawnSync("rm", ["-rf", "--", this.#base], { stdio: "inherit", timeout: 120_000 })
  }
}

export async function runSuite(
  directory: string,
  tables: Tables,
  options: SuiteOptions = {},
): Promise<Report> {
  using suite = new Suite(directory, options)
  const reports: Report[] = []
  for (const [file, cases] of Object.entries(tables)) reports.push(await suite.run(file, cases))
  return {
    cases: reports.reduce((sum, report) => sum + report.cases, 0),
    checks: reports.reduce((sum, report) => sum + report.checks, 0),
    skipped: reports.flatMap((report) => report.skipped),
    failures: reports.flatMap((report) => report.failures),
    seconds: reports.reduce((sum, report) => sum + report.seconds, 0),
  }
}
