/**
 * The event log of a mount: lines of JSON in `STORE/events`, in files that are numbered on and on. Its size is bounded: the oldest
 * file goes when a new one is begun. One process writes it; any other may read it, up to the last whole line.
 */
import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, readSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"
import type { EventPage, EventQuery, ToolEvent } from "../../schema/tool-event.ts"

const FILE_BYTES = 4 * 1024 * 1024
const MOST_FILES = 8
/** How much a reader takes at once. */
const PAGE_BYTES = 1024 * 1024
const NAME = /^events-(\d{6,9})\.jsonl$/
const NEWLINE = 0x0a

export function eventsDirectory(store: string): string {
  return join(store, "events")
}

function nameOf(number: number): string {
  return `events-${String(number).padStart(6, "0")}.jsonl`
}

/** Numbers of the files that there are, the oldest first. */
function numbersIn(directory: string): number[] {
  let names: string[]
  try {
    names = readdirSync(directory)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return []
    throw cause
  }
  return names
    .flatMap((name) => NAME.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

export class EventLog implements Disposable {
  readonly #directory: string
  readonly #fileBytes: number
  #number: number
  #fd: number
  #bytes = 0
  #pending: string[] = []

  /** Begins a new file: the last one may end in half a line. */
  constructor(directory: string, fileBytes = FILE_BYTES) {
    this.#directory = directory
    this.#fileBytes = fileBytes
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    this.#number = (numbersIn(directory).at(-1) ?? 0) + 1
    this.#fd = this.#open()
  }

  #open(): number {
    for (const number of numbersIn(this.#directory).slice(0, 1 - MOST_FILES))
      rmSync(join(this.#directory, nameOf(number)), { force: true })
    return openSync(join(this.#directory, nameOf(this.#number)), "ax", 0o600)
  }

  /** Written with the next `flush`. */
  add(event: ToolEvent): void {
    this.#pending.push(JSON.stringify(event))
  }

  flush(): void {
    if (this.#pending.length === 0) return
    const bytes = Buffer.from(`${this.#pending.join("\n")}\n`)
    this.#pending = []
    for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at)
    this.#bytes += bytes.length
    if (this.#bytes < this.#fileBytes) return
    closeSync(this.#fd)
    this.#number += 1
    this.#bytes = 0
    this.#fd = this.#open()
  }

  [Symbol.dispose](): void {
    this.flush()
    closeSync(this.#fd)
  }
}

/** What the log has behind `query.after`, as far as one answer reaches. */
export function readEvents(directory: string, query: EventQuery): EventPage {
  const numbers = numbersIn(directory)
  if (query.after === "end")
    return { events: [], after: endOf(directory, numbers), hasMore: false, isGap: false }
  const [first = 1] = numbers
  const [wanted = 0, from = 0] = (query.after ?? "0:0").split(":").map(Number)
  const isGap = query.after !== undefined && wanted < first && numbers.length > 0
  let number = Math.max(wanted, first)
  let at = number === wanted ? from : 0
  const events: ToolEvent[] = []
  for (;;) {
    const { lines, end, isAll } = linesOf(join(directory, nameOf(number)), at)
    for (const [line, next] of lines) {
      at = next
      const event = JSON.parse(line) as ToolEvent
      if (matches(event, query)) events.push(event)
      if (events.length === query.limit) return { events, after: `${number}:${at}`, hasMore: true, isGap }
    }
    at = end
    // A file that another one follows is not written any more.
    if (isAll && number < (numbers.at(-1) ?? 0)) {
      number += 1
      at = 0
    } else return { events, after: `${number}:${at}`, hasMore: !isAll, isGap }
    if (lines.length > 0) return { events, after: `${number}:${at}`, hasMore: true, isGap }
  }
}

function endOf(directory: string, numbers: readonly number[]): string {
  const last = numbers.at(-1)
  if (last === undefined) return "0:0"
  const fd = openSync(join(directory, nameOf(last)), "r")
  try {
    return `${last}:${fstatSync(fd).size}`
  } finally {
    closeSync(fd)
  }
}

interface Lines {
  /** Each with the place behind it. */
  readonly lines: readonly (readonly [line: string, next: number])[]
  readonly end: number
  /** Nothing but half a line follows. */
  readonly isAll: boolean
}

function linesOf(path: string, from: number): Lines {
  let fd: number
  try {
    fd = openSync(path, "r")
  } catch (cause) {
    // It has just been removed, or there is no log yet.
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return { lines: [], end: from, isAll: true }
    throw cause
  }
  try {
    const bytes = Buffer.alloc(PAGE_BYTES)
    const length = readSync(fd, bytes, 0, PAGE_BYTES, from)
    const lines: [string, number][] = []
    let start = 0
    for (let end = bytes.indexOf(NEWLINE); end >= 0 && end < length; end = bytes.indexOf(NEWLINE, start)) {
      lines.push([bytes.toString("utf8", start, end), from + end + 1])
      start = end + 1
    }
    return { lines, end: from + start, isAll: length < PAGE_BYTES }
  } finally {
    closeSync(fd)
  }
}

function matches(event: ToolEvent, { types, tool, run, since }: EventQuery): boolean {
  return (
    (types === undefined || types.includes(event.type)) &&
    (tool === undefined || event.tool === tool) &&
    (run === undefined || event.run === run) &&
    (since === undefined || Date.parse(event.time) >= since)
  )
}
