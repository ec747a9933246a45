/** Points in time as since: and before: take them. */
import { Fault } from "../../core/fault.ts"

const UNITS: Readonly<Record<string, number>> = {
  ...{ s: 1, m: 60, h: 3600, d: 86_400, w: 7 * 86_400, y: 365 * 86_400 },
}

/** "7d" (ago), "2026-01-31" or "2026-01-31T08:00" (UTC) in seconds since 1970. Throws `Fault("invalid")` for others. */
export function instantOf(text: string, filter: string, now: number): number {
  const [, count, unit = ""] = /^(\d{1,6})([smhdwy])$/.exec(text) ?? []
  if (count !== undefined) return now - Number(count) * (UNITS[unit] ?? 0)
  const [, date, time = "00:00"] = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d)?))?Z?$/.exec(text) ?? []
  const at = date === undefined ? Number.NaN : Date.parse(`${date}T${time}Z`)
  if (Number.isNaN(at))
    throw new Fault("invalid", `\`${filter}:${text}\` is no time`, {
      hint: "write 30m, 12h, 7d, 2w, 1y (ago), or a day such as 2026-01-31",
    })
  return at / 1000
}
