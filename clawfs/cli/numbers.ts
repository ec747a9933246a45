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

const FACTORS = ["", "k", "m", "g", "t", "p"]

/** "10G", "1.5 TiB" or "4096": bytes, units of 1024; at least 1. Undefined for anything else. */
export function bytes(text: string): number | undefined {
  const [, digits = "", unit = ""] = /^(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(text) ?? []
  const value = Math.round(Number(digits) * 1024 ** FACTORS.indexOf(unit.toLowerCase()))
  return digits !== "" && value >= 1 && Number.isSafeInteger(value) ? value : undefined
}

/** A whole number of 1 or more; undefined for anything else. */
export function count(text: string): number | undefined {
  const value = /^\d+$/.test(text) ? Number(text) : 0
  return value >= 1 && Number.isSafeInteger(value) ? value : undefined
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
