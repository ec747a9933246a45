/** The compiled filters of system calls that tools run under, in memory. */
import { constants, openSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import { compile } from "../seccomp/compile.ts"
import { toolList } from "../seccomp/tool-list.ts"
import { hasLibseccomp } from "../sys/libseccomp.ts"
import { memoryFileWith } from "./launch.ts"

export class Filters {
  /** Descriptors, by whether the tool may start programs; or why there are none. */
  readonly #files: ReadonlyMap<boolean, number> | { readonly reason: string }

  constructor() {
    this.#files = hasLibseccomp
      ? new Map(
          [true, false].map((maySpawn) => [
            maySpawn,
            memoryFileWith("seccomp", compile(toolList(maySpawn)).program),
          ]),
        )
      : { reason: "libseccomp is not installed" }
  }

  /** Undefined when there are filters. */
  get reason(): string | undefined {
    return "reason" in this.#files ? this.#files.reason : undefined
  }

  /** A descriptor of its own for each run: whoever reads it moves its position. */
  open(maySpawn: boolean): number {
    const fd = "reason" in this.#files ? undefined : this.#files.get(maySpawn)
    if (fd === undefined) throw new Fault("unsupported", "there is no filter of system calls")
    return openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY)
  }
}
