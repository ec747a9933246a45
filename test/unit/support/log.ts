/** A log that keeps its lines instead of printing them. */
import { Log, type Fields } from "../../../clawfs/core/log.ts"

export interface LogLine {
  readonly level: string
  readonly message: string
  readonly fields: Fields
}

export class QuietLog extends Log {
  readonly lines: LogLine[] = []

  constructor() {
    super("test", { level: "error" })
  }

  override debug(message: string, fields: Fields = {}): void {
    this.lines.push({ level: "debug", message, fields })
  }

  override info(message: string, fields: Fields = {}): void {
    this.lines.push({ level: "info", message, fields })
  }

  override warn(message: string, fields: Fields = {}): void {
    this.lines.push({ level: "warn", message, fields })
  }

  override error(message: string, fields: Fields = {}): void {
    this.lines.push({ level: "error", message, fields })
  }

  /** The messages so far, and forgets them. */
  take(): string[] {
    return this.lines.splice(0).map(({ message }) => message)
  }
}
