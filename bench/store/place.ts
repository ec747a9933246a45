/** A directory on some target, with the client and the clawfs command to work on it. */
import { join } from "node:path"
import { numbers, run, type CommandOptions } from "../command.ts"
import { abortMount } from "../mounts.ts"
import { clawfsCli } from "../paths.ts"
import type { Target } from "../targets.ts"

export const clawfs = (...args: string[]): string[] => [process.execPath, clawfsCli, ...args]

export class Place {
  readonly target: Target
  readonly dir: string
  readonly #client: string

  constructor(client: string, target: Target, dir: string = target.dir) {
    this.#client = client
    this.target = target
    this.dir = dir
  }

  on(argv: readonly string[], options: CommandOptions = {}): Promise<{ stdout: string; seconds: number }> {
    const { mount } = this.target
    return run(argv, {
      timeoutMs: 600_000,
      ...options,
      onTimeout: () => mount !== undefined && abortMount(mount),
    })
  }

  /** The client's figures: nanoseconds. */
  async client(...args: (string | number)[]): Promise<Map<string, number>> {
    return numbers((await this.on([this.#client, ...args.map(String)])).stdout)
  }

  /** An empty directory in this one. */
  async fresh(name: string): Promise<Place> {
    const dir = join(this.dir, name)
    await this.on(["rm", "-rf", dir])
    await this.on(["mkdir", dir])
    return new Place(this.#client, this.target, dir)
  }

  /** Free memory that this machine really has: see touch() in client.c. */
  async touchMemory(mebibytes: number): Promise<void> {
    await run([this.#client, "touch", String(mebibytes)])
  }

  get drop(): string {
    return this.target.mount ?? "-"
  }
}
