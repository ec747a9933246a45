/** Reads numbers from the command line and writes them for people. */
import { UsageError } from "./command.ts"

/** A number of seconds above 0, decimals allowed; undefined when not given. */
export function seconds(
  command: string,
  option: string,
  text: string | undefined,
  most: number,
): number | undefined {
  if (text === undefined) return undefined
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN
  if (value > 0 && value <= most) return value
  throw new UsageError(`${command}: ${option} takes seconds, above 0 and up to ${most}, got "${text}"`)
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"] as const

/** 1536 → "1.5 KiB". */
export function humanBytes(bytes: number): string {
  let [value, unit] = [bytes, 0]
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit] ?? ""}`
}
