/** The work of `clawfs doctor`. Imports nothing native: it has to run where that is what is broken. */
import { release } from "node:os"
import { VERSION } from "../../core/version.ts"
import type { DoctorInvocation } from "../commands/doctor.ts"
import type { Check } from "../doctor/check.ts"
import { fuseChecks } from "../doctor/fuse.ts"
import { kernelChecks, type Agreed } from "../doctor/kernel.ts"
import { runtimeChecks } from "../doctor/runtime.ts"
import { storeChecks } from "../doctor/store.ts"
import { systemChecks } from "../doctor/system.ts"
import { toolChecks } from "../doctor/tools.ts"
import { ExitCode } from "../exit-code.ts"
import { reportAll, type Report } from "../reports.ts"

export async function runDoctor({ values, operands, terminal }: DoctorInvocation): Promise<ExitCode> {
  const isRoot = process.getuid?.() === 0
  const [store] = operands
  const [reports, runtime, ofStore] = await Promise.all([
    reportAll(),
    runtimeChecks(),
    store === undefined ? [] : storeChecks(store),
  ])
  const checks = [
    ...kernelChecks(release(), agreedOf(reports)),
    ...fuseChecks(isRoot),
    ...runtime,
    ...toolChecks(),
    ...systemChecks(reports),
    ...ofStore,
  ]
  const failed = checks.filter(({ level }) => level === "fail").length
  const result = { ok: failed === 0, version: VERSION, uid: process.getuid?.() ?? 0, checks }
  if (values.json === true) terminal.out(JSON.stringify(result, undefined, 2))
  else terminal.out([...checks.flatMap(linesOf), "", verdict(failed, store)].join("\n"))
  return failed === 0 ? ExitCode.OK : ExitCode.NO
}

function agreedOf(reports: readonly Report[]): Agreed | undefined {
  for (const report of reports) if ("protocol" in report && report.protocol.minor > 0) return report.protocol
  return undefined
}

function linesOf({ id, level, message, hint }: Check): string[] {
  const line = `${level.padEnd(4)}  ${id.padEnd(14)}  ${message}`
  return hint === undefined ? [line] : [line, `${" ".repeat(22)}hint: ${hint}`]
}

function verdict(failed: number, store: string | undefined): string {
  const what = store === undefined ? "mounting" : `mounting ${store}`
  if (failed === 0) return `${what} will work`
  return `${what} will not work: ${failed} check${failed === 1 ? "" : "s"} failed`
}
