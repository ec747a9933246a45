/** Rows of a benchmark without rounds: a figure, and the goal that it has. */

export interface Row {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly atMost?: number
  readonly atLeast?: number
  readonly note?: string
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

function verdict({ value, atMost, atLeast }: Row): string {
  if (atMost !== undefined) return `${value <= atMost ? "met" : "MISSED"} (≤ ${atMost})`
  if (atLeast !== undefined) return `${value >= atLeast ? "met" : "MISSED"} (≥ ${atLeast})`
  return ""
}

export function printRow(row: Row): void {
  const value = `${row.value.toPrecision(3)} ${row.unit}`
  process.stdout.write(
    `${row.name.padEnd(34)} ${value.padStart(14)}  ${verdict(row).padEnd(18)} ${row.note ?? ""}\n`,
  )
}
