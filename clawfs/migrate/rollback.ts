/** Takes back what a run made, and nothing else: a file that was edited since stays, and so does everything that was there before. */
import { replacedPath } from "./place.ts"
import { RUNS } from "./run.ts"
import type { Run } from "./run.ts"
import type { SecretStore } from "./secrets/transfer.ts"

export interface RolledBack {
  readonly removed: number
  readonly restored: number
  readonly secrets: number
  /** Paths, and names of secrets, that somebody changed since. */
  readonly kept: readonly string[]
}

/** `store`: undefined where the run put no secrets. */
export function rollback(run: Run, store: SecretStore | undefined): RolledBack {
  const { target, ledger } = run
  const directories: string[] = []
  const kept: string[] = []
  let [removed, restored, secrets] = [0, 0, 0]
  const present = store?.list()
  for (const line of ledger.lines()) {
    if ("directory" in line) directories.push(line.directory)
    else if ("secret" in line) {
      const there = present?.get(line.name)
      if (there === undefined) continue
      if (there.latest === line.version) store?.remove(line.name)
      else kept.push(line.name)
      secrets += there.latest === line.version ? 1 : 0
    } else if (line.state === "made" || line.state === "replaced") {
      const path = line.path.split("/")
      const there = target.digest(path)
      const before = replacedPath(run, path)
      const isOurs = there?.sha256 === line.sha256
      if (there !== undefined && !isOurs) {
        kept.push(line.path)
        continue
      }
      if (isOurs && target.remove(path)) removed += 1
      // What stays of the run goes on from here.
      ledger.add({ ...line, state: "removed", sha256: "", bytes: 0 })
      if (line.state === "replaced" && target.stat(before) !== undefined) {
        target.move(before, path)
        restored += 1
      }
    }
  }
  const own = run.path.join("/")
  for (const directory of directories.reverse())
    if (!`${own}/`.startsWith(`${directory}/`)) target.remove(directory.split("/"), true)
  return { removed, restored, secrets, kept }
}

/** After a rollback that kept nothing: the run itself. */
export function forget(run: Run): void {
  for (const name of ["report.json", "ledger.jsonl", "run.json"]) run.target.remove([...run.path, name])
  run.target.remove([...run.path, "replaced"], true)
  run.target.remove([...run.path, "archive"], true)
  run.target.remove(run.path, true)
  run.target.remove(RUNS, true)
}
