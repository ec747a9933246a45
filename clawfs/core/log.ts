/**
 * One JSON object a line on stderr, as journald and `jq` like it. Fields, not sentences. Names of files and secrets
 * never go in: node ids do. `CLAWFS_WARN_FATAL=1` (tests) makes a warning throw, so that none is overlooked.
 */
import { writeSync } from "node:fs"

export type Level = "debug" | "info" | "warn" | "error" | "security"

export type Fields = Readonly<Record<string, string | number | boolean | undefined>>

const STDERR = 2
const threshold: Record<Level, number> = { debug: 0, info: 1, warn: 2, error: 3, security: 3 }

export class Log {
  readonly #source: string
  readonly #minimum: number
  readonly #warnIsFatal: boolean

  constructor(source: string, options: { level?: Level; warnIsFatal?: boolean } = {}) {
    this.#source = source
    this.#minimum = threshold[options.level ?? "info"]
    this.#warnIsFatal = options.warnIsFatal ?? false
  }

  get debugs(): boolean {
    return this.#minimum === threshold.debug
  }

  debug(message: string, fields: Fields = {}): void {
    this.#emit("debug", message, fields)
  }

  info(message: string, fields: Fields = {}): void {
    this.#emit("info", message, fields)
  }

  warn(message: string, fields: Fields = {}): void {
    this.#emit("warn", message, fields)
    if (this.#warnIsFatal) throw new Error(`warning with CLAWFS_WARN_FATAL=1: ${message}`)
  }

  error(message: string, fields: Fields = {}): void {
    this.#emit("error", message, fields)
  }

  #emit(level: Level, message: string, fields: Fields): void {
    if (threshold[level] < this.#minimum) return
    const line = JSON.stringify({
      time: new Date().toISOString(),
      level,
      source: this.#source,
      message,
      ...fields,
    })
    try {
      writeSync(STDERR, `${line}\n`)
    } catch (cause) {
      // The terminal or pipe that read the log is gone; the disk that holds it is full, read-only, or fails. Serving the
      // mount matters more than a log line.
      if ((cause as NodeJS.ErrnoException).syscall === undefined) throw cause
    }
  }
}
