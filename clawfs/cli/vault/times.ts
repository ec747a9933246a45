/** Times as people give them: "90d" from now, or a date. */
import { UsageError } from "../command.ts"

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 7 * 86_400 }

/** Seconds of "30m", "12h", "90d"; "0" is 0. */
export function duration(option: string, text: string): number {
  if (text === "0") return 0
  const [, amount = "", unit = ""] = /^(\d{1,6})([smhdw])$/.exec(text) ?? []
  const seconds = Number(amount) * (UNITS[unit] ?? 0)
  if (seconds > 0) return seconds
  throw new UsageError(`vault: ${option} takes a time such as 30m, 12h or 90d, got "${text}"`)
}

/** Milliseconds since 1970 of a date, or of a duration from now (`direction` 1) or before it (-1); "0" is 0. */
export function moment(option: string, text: string, direction: 1 | -1): number {
  if (/^\d{4}-\d{2}-\d{2}(T[\d:.]+Z?)?$/.test(text)) {
    const time = Date.parse(text)
    if (!Number.isNaN(time)) return time
  }
  const seconds = duration(option, text)
  return seconds === 0 ? 0 : Date.now() + direction * seconds * 1000
}

/** 0: "never". */
export function shownTime(ms: number): string {
  return ms === 0 ? "never" : new Date(ms).toISOString().slice(0, 19).replace("T", " ")
}

export function wholeNumber(option: string, text: string, most: number, least = 0): number {
  if (/^\d{1,10}$/.test(text) && Number(text) <= most && Number(text) >= least) return Number(text)
  const from = least === 0 ? "" : `from ${least} `
  throw new UsageError(`vault: ${option} takes a number ${from}up to ${most}, got "${text}"`)
}
