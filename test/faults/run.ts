/** Runs the scripted session with failing calls, in a process of its own below the shim. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { run } from "../helpers/exec.ts"
import { program, repository } from "../helpers/programs.ts"
import { requirePrograms } from "../helpers/requirements.ts"
import { memory } from "../unit/support/temporary.ts"
import { Faults, compileShim, environment } from "./faults.ts"
import type { Report } from "./scripted.ts"

const SHIM = join(repository, "test", "faults", "shim.c")

/** A compiled shim and its control file, for the time of one test. */
export class Place implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "clawfs-faults-"))
  readonly library = join(this.path, "shim.so")
  readonly control = join(this.path, "control")

  constructor() {
    const reason = compileShim(SHIM, this.library)
    if (reason !== undefined) throw new Error(reason)
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

export const requireShim = (): string | undefined => requirePrograms("cc")

export interface Sweep {
  /** What fails, such as "full:ENOSPC", "full:ENOSPC:restart" or "once:EIO". */
  readonly modes: readonly string[]
  /** Every call, or only each so many-th. */
  readonly every: number
  readonly first?: number
  readonly timeoutSeconds: number
}

export async function sweep({ modes, every, first = 0, timeoutSeconds }: Sweep): Promise<Report> {
  using place = new Place()
  using _ = new Faults(place.control)
  const args = [program("test/faults/scripted.ts"), modes.join(","), String(every), String(first)]
  const { stdout } = await run(process.execPath, args, {
    env: environment(place.library, memory, place.control),
    timeoutSeconds,
  })
  return JSON.parse(stdout) as Report
}
