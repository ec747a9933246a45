/**
 * How often something may be done: so many in a row, refilled over a minute, and so many in an hour and a day. Kept in memory: a
 * vault that was locked begins anew.
 */
import type { EndpointText } from "../schema/endpoint.ts"

export type RateLimits = NonNullable<EndpointText["rate_limits"]>

interface State {
  /** What may be done at once, and when that was so. */
  tokens: number
  at: number
  hour: number
  inHour: number
  day: number
  inDay: number
}

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000

export class Rates {
  readonly #states = new Map<number, State>()

  /** Takes one; false when there is none left. `now`: milliseconds since 1970. */
  take(id: number, limits: RateLimits, now: number): boolean {
    const { requests_per_minute: perMinute, requests_per_hour: perHour, requests_per_day: perDay } = limits
    const most = limits.burst_size ?? perMinute ?? Infinity
    const [hour, day] = [Math.floor(now / HOUR_MS), Math.floor(now / DAY_MS)]
    const before = this.#states.get(id) ?? { tokens: most, at: now, hour, inHour: 0, day, inDay: 0 }
    const refilled = (Math.max(0, now - before.at) / MINUTE_MS) * (perMinute ?? Infinity)
    const state: State = {
      tokens: most === Infinity ? Infinity : Math.min(most, before.tokens + (refilled || 0)),
      at: now,
      hour,
      inHour: before.hour === hour ? before.inHour : 0,
      day,
      inDay: before.day === day ? before.inDay : 0,
    }
    this.#states.set(id, state)
    if (state.tokens < 1 || state.inHour >= (perHour ?? Infinity) || state.inDay >= (perDay ?? Infinity))
      return false
    state.tokens -= 1
    state.inHour += 1
    state.inDay += 1
    return true
  }

  forget(id: number): void {
    this.#states.delete(id)
  }
}
