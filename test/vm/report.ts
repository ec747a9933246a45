/**
 * A reporter of vitest for the virtual machine: behind the file that CLAWFS_VM_SUMMARY names it writes one line for each file of
 * tests, with how many passed and failed, and how many were skipped for which reason.
 * A file of which everything was skipped has failed: this machine is made to have what they need.
 */
import { appendFileSync } from "node:fs"
import type { Reporter, TestModule } from "vitest/node"

export default class Report implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const file = process.env["CLAWFS_VM_SUMMARY"]
    if (file === undefined) throw new Error("CLAWFS_VM_SUMMARY names no file")
    for (const module of modules) {
      const { text, isOk } = lineOf(module)
      appendFileSync(file, `${text}\n`)
      if (!isOk) process.exitCode = 1
    }
  }
}

function lineOf(module: TestModule): { text: string; isOk: boolean } {
  const counts = { passed: 0, failed: 0, skipped: 0, pending: 0 }
  const reasons = new Map<string, number>()
  for (const test of module.children.allTests()) {
    const result = test.result()
    counts[result.state] += 1
    if (result.state !== "skipped") continue
    const reason = result.note ?? "what comes before it failed"
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  }
  const why = [...reasons].map(([reason, times]) => `${times} x ${reason}`).join("; ")
  const isOk = module.ok() && counts.passed > 0
  const text = `${isOk ? "ok    " : "FAILED"} ${module.relativeModuleId}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`
  return { text: why === "" ? text : `${text} (${why})`, isOk }
}
