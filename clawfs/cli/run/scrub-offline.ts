/** `clawfs scrub start` of a store that is not mounted: a check in the foreground, at a bandwidth. */
import { fsck } from "../../fsck/fsck.ts"
import { MOST_FINDINGS, writeScrubState } from "../../server/scrub-state.ts"
import { ExitCode } from "../exit-code.ts"
import { humanBytes } from "../numbers.ts"
import type { Terminal } from "../terminal.ts"
import { lineOf } from "../scrub-report.ts"

const MIB = 1024 * 1024
const nobody = new Int32Array(new SharedArrayBuffer(4))

/** `limit`: MiB a second, 0 for none. */
export function scrubOffline(store: string, limit: number, isJson: boolean, terminal: Terminal): ExitCode {
  const started = Math.floor(Date.now() / 1000)
  let [seen, due] = [0, performance.now()]
  const onProgress = (what: string, done: number): void => {
    if (what !== "contents" || limit === 0) return
    due += (1000 * (done - seen)) / (limit * MIB)
    seen = done
    const ahead = due - performance.now()
    if (ahead > 0) Atomics.wait(nobody, 0, 0, ahead)
  }
  const result = fsck({ directory: store, isOnline: false, repair: false, onProgress })
  const { counts, totals } = result
  const findings = result.findings.filter(({ severity }) => severity === "error")
  const finished = Math.floor(Date.now() / 1000)
  const { records, recordBytes: bytes } = totals
  const last = {
    started,
    finished,
    records,
    bytes,
    errors: counts.errors,
    findings: findings.slice(0, MOST_FINDINGS),
  }
  writeScrubState(store, { version: 1, last })
  if (isJson)
    terminal.out(JSON.stringify({ state: "idle", errors: counts.errors, findings, last }, undefined, 2))
  else {
    const verdict = counts.errors === 0 ? "no damage" : `${counts.errors} damaged`
    terminal.out([`read        ${humanBytes(bytes)}, ${verdict}`, ...findings.map(lineOf)].join("\n"))
  }
  return counts.errors === 0 ? ExitCode.OK : ExitCode.NO
}
