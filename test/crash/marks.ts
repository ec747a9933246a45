/**
 * How a load says what it was told: lines in a file that strace sees written in between the server's own writes, so that
 * one order holds for both.
 */
import { openSync, writeSync } from "node:fs"

export type Mark =
  /** The load is about to do step `n`. */
  | { readonly track: string; readonly begun: number }
  /** Step `n` has returned; `durable`: it promised that this and all before it are on the disk. */
  | { readonly track: string; readonly done: number; readonly durable: boolean }
  /** The store was unmounted: whatever was done is on the disk. */
  | { readonly unmounted: true }

export type Marker = (mark: Mark) => void

export function marker(path: string): Marker {
  const fd = openSync(path, "a")
  return (mark) => void writeSync(fd, `${JSON.stringify(mark)}\n`)
}
