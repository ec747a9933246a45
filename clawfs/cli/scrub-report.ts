/** What people read of a scrub. */
import type { Finding } from "../fsck/finding.ts"
import type { ScrubStatus } from "../server/scrubbing.ts"
import { humanBytes } from "./numbers.ts"

/** A line each. */
export function describeScrub(status: ScrubStatus): string[] {
  const { state, doneBytes, totalBytes, errors, findings, last } = status
  const part = totalBytes > 0 ? ` of ${humanBytes(totalBytes)}` : ""
  const progress = state === "idle" ? "" : `, ${humanBytes(doneBytes)}${part} read`
  const lines = [`scrub       ${state}${progress}`]
  if (last !== undefined)
    lines.push(
      `last pass   ended ${timeOf(last.finished)}, ${humanBytes(last.bytes)} in ${last.finished - last.started} s, ${damage(last.errors)}`,
    )
  if (state !== "idle" || last === undefined) lines.push(`found       ${damage(errors)}`)
  return [...lines, ...findings.map(lineOf)]
}

function damage(errors: number): string {
  return errors === 0 ? "no damage" : `${errors} damaged`
}

function timeOf(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC`
}

export function lineOf({ path, range, message }: Finding): string {
  const bytes = range === undefined ? "" : ` bytes ${range.offset} to ${range.offset + range.length - 1}`
  return `damaged     ${path === undefined ? "" : `${path}${bytes}: `}${message}`
}
