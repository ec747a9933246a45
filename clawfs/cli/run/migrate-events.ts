/** What `clawfs migrate postgres --json` prints while it works: a JSON object a line, each with its `event` (docs/MIGRATE.md). */
import type { Applied } from "../../migrate/apply.ts"
import type { Placing } from "../../migrate/place.ts"
import type { Item, Source, TableReport } from "../../migrate/source.ts"
import type { Verified } from "../../migrate/verify.ts"
import type { Terminal } from "../terminal.ts"

const PROGRESS_MS = 500

export interface Progress {
  readonly table: string
  readonly done: number
  readonly total: number
  readonly rowsPerSecond: number
  readonly secondsLeft: number
}

export class Events {
  readonly #terminal: Terminal
  #toldMs = -Infinity

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  #tell(event: string, what: object): void {
    this.#terminal.out(JSON.stringify({ event, ...what }))
  }

  /** What a pass finds before it begins. */
  plan(run: string, { description }: Source, tables: readonly TableReport[], secrets: number): void {
    const rows = tables.reduce((sum, table) => sum + table.rows, 0)
    const shown = tables.map(({ table, rows: count, disposition, target }) => ({
      table,
      rows: count,
      disposition,
      target,
    }))
    this.#tell("plan", { run, source: description, rows, secrets, tables: shown })
  }

  /** The first, and then not more often than every half a second. */
  progress(progress: Progress): void {
    const now = performance.now()
    if (now - this.#toldMs < PROGRESS_MS) return
    this.#toldMs = now
    this.#tell("progress", progress)
  }

  /** A file that was made, updated, or left because of a conflict; nothing is told of one that is as it was. */
  placed({ table, key }: Item, { outcome, path, bytes, why }: Placing): void {
    if (outcome === "conflict") this.#tell("conflict", { table, key, path, why })
    else if (outcome !== "unchanged") this.#tell("item", { outcome, table, key, path, bytes })
  }

  /** The end of a pass. */
  done(
    applied: Applied,
    more: { readonly run: string; readonly seconds: number; readonly unknownTables: readonly string[] },
  ): void {
    this.#tell("done", { ok: applied.losses.length === 0, ...applied, ...more })
  }

  /** The end of following. */
  verified(run: string, verified: Verified): void {
    this.#tell("verified", { ok: verified.losses.length === 0, run, ...verified })
  }
}
