/**
 * A load that says of each step when it was answered, and a judge that compares its directory with that: what was
 * answered is there, what was being done is done or not, and nothing else.
 */
import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import type { PlanOptions, Step } from "../crash/draft.ts"
import { DIRECTORY, digest, isPartOf, picturesOf, type Picture } from "../crash/history.ts"
import type { LoadOrder } from "../crash/load.ts"
import type { Mark } from "../crash/marks.ts"
import { makePlan } from "../crash/plan.ts"
import type { Finished } from "./exec.ts"
import type { Mount } from "./mount.ts"
import { program } from "./programs.ts"

export class AnsweredLoad {
  readonly #mount: Mount
  readonly #directory: string
  readonly #marks: string
  readonly #copy: string
  readonly #plan: PlanOptions
  readonly #steps: readonly Step[]
  readonly #pictures: readonly Picture[]

  /** `name`: of a directory to be made in `parent`, and unlike those of other loads on the mount. */
  constructor(mount: Mount, parent: string, name: string, plan: PlanOptions) {
    const scratch = join(mount.scratch, name)
    this.#mount = mount
    this.#directory = join(parent, name)
    this.#marks = `${scratch}.marks`
    this.#copy = `${scratch}.copy`
    this.#plan = plan
    this.#steps = makePlan(plan)
    this.#pictures = picturesOf(this.#steps)
  }

  /** Ends with the plan, or when a step fails. */
  run(): Promise<Finished> {
    const order: LoadOrder = {
      directory: this.#directory,
      marks: this.#marks,
      track: "",
      plan: this.#plan,
      from: 0,
      to: this.#steps.length,
      store: this.#mount.store,
      keys: "",
    }
    const args = [program("test/crash/load.ts"), JSON.stringify(order)]
    return this.#mount.exec(process.execPath, args, { timeoutSeconds: 150 })
  }

  /** How many steps were answered. */
  get answered(): number {
    return this.#progress().done
  }

  #progress(): { done: number; isInStep: boolean } {
    let marks: Mark[]
    try {
      const lines = readFileSync(this.#marks, "latin1").split("\n").slice(0, -1)
      marks = lines.map((line) => JSON.parse(line) as Mark)
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return { done: 0, isInStep: false }
      throw thrown
    }
    const last = marks.findLast((mark) => "done" in mark)
    const end = marks.at(-1)
    return { done: last?.done ?? 0, isInStep: end !== undefined && "begun" in end }
  }

  /** What differs from what the programs were told; nothing is well. The load must have ended. */
  async judge(): Promise<string[]> {
    await this.#mount.run("cp", ["-a", this.#directory, this.#copy])
    const { done, isInStep } = this.#progress()
    const differences: string[] = []
    for (const steps of isInStep ? [done, done + 1] : [done]) {
      const problems = this.#differences(steps)
      if (problems.length === 0) return []
      differences.push(`${this.#directory} is not as after ${steps} steps: ${problems.join(", ")}`)
    }
    return differences
  }

  #differences(steps: number): string[] {
    const expected = new Map(this.#pictures[steps])
    expected.delete("")
    const found = readdirSync(this.#copy)
    const unexpected = found.filter((name) => !expected.has(name)).map((name) => `${name} is there`)
    const different = [...expected].flatMap(([name, what]) => {
      if (what === DIRECTORY || !found.includes(name)) return [`${name} is missing`]
      const bytes = readFileSync(join(this.#copy, name))
      if (digest(bytes) === what || isPartOf(this.#steps, steps, name, bytes)) return []
      return [`${name} has ${digest(bytes)} instead of ${what}`]
    })
    return [...unexpected, ...different]
  }
}
