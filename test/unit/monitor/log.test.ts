/** The event log: bounded, read while it is written, page by page. */
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { EventLog, readEvents } from "../../../clawfs/monitor/log.ts"
import { EventQuery, type EventPage, type ToolEvent } from "../../../schema/tool-event.ts"

let directory: string
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "events-"))))
afterEach(() => rmSync(directory, { recursive: true }))

function event(pid: number, more: Partial<ToolEvent> = {}): ToolEvent {
  const time = new Date(1_000_000 + pid).toISOString()
  return {
    format: 1,
    time,
    monotonic_ns: "1",
    type: "FILE_ACCESS",
    run: "r",
    tool: "t",
    pid,
    tid: 1,
    ...more,
  }
}

const query = (more: object = {}): EventPage => readEvents(directory, EventQuery.parse(more))
const pids = ({ events }: EventPage): number[] => events.map(({ pid }) => pid)

/** All pages, one after the other. */
function readAll(more: object = {}): { readonly pids: number[]; readonly after: string } {
  const all: number[] = []
  let page = query(more)
  for (;;) {
    all.push(...pids(page))
    if (!page.hasMore) return { pids: all, after: page.after }
    page = query({ ...more, after: page.after })
  }
}

test("what was written is read, in order, and what follows is read from there", () => {
  using log = new EventLog(directory)
  for (const pid of [1, 2, 3]) log.add(event(pid))
  log.flush()
  const { pids: first, after } = readAll()
  expect(first).toEqual([1, 2, 3])
  expect(pids(query({ after }))).toEqual([])
  log.add(event(4))
  log.flush()
  expect(pids(query({ after }))).toEqual([4])
})

test("a log that does not exist yet is empty, and its first events are found from there", () => {
  const { after } = query()
  const end = query({ after: "end" })
  using log = new EventLog(directory)
  log.add(event(1))
  log.flush()
  expect([pids(query({ after })), pids(query({ after: end.after }))]).toEqual([[1], [1]])
})

test("half a line is not read before it is whole", () => {
  using log = new EventLog(directory)
  log.flush()
  const [name = ""] = readdirSync(directory)
  const line = `${JSON.stringify(event(1))}\n`
  appendFileSync(join(directory, name), line.slice(0, 20))
  const { after } = query()
  expect(pids(query())).toEqual([])
  appendFileSync(join(directory, name), line.slice(20))
  expect(pids(query({ after }))).toEqual([1])
})

test("the log is bounded; a reader that was too slow hears that something is missing", () => {
  using log = new EventLog(directory, 1000)
  log.add(event(0))
  log.flush()
  const { after } = query()
  for (let pid = 1; pid <= 200; pid += 1) {
    log.add(event(pid))
    log.flush()
  }
  expect(readdirSync(directory).length).toBeLessThanOrEqual(8)
  const all = readAll().pids
  expect(all).toEqual(Array.from({ length: all.length }, (_, n) => 201 - all.length + n))
  expect(query({ after }).isGap).toBe(true)
  expect(query({ after: readAll().after }).isGap).toBe(false)
})

test("a next writer begins a file of its own, and both are read", () => {
  for (const pid of [1, 2]) {
    using log = new EventLog(directory)
    log.add(event(pid))
  }
  expect(readAll().pids).toEqual([1, 2])
})

test("pages hold no more than they may, and nothing is read twice or left out", () => {
  using log = new EventLog(directory, 5000)
  for (let pid = 0; pid < 100; pid += 1) {
    log.add(event(pid))
    if (pid % 7 === 0) log.flush()
  }
  log.flush()
  expect(query({ limit: 9 }).events.length).toBe(9)
  expect(readAll({ limit: 9 }).pids).toEqual(Array.from({ length: 100 }, (_, n) => n))
})

test("filters by type, tool, run and time", () => {
  using log = new EventLog(directory)
  log.add(event(1, { type: "PROCESS_EXIT" }))
  log.add(event(2, { tool: "other" }))
  log.add(event(3, { run: "another" }))
  log.add(event(4))
  log.flush()
  expect(readAll({ types: ["PROCESS_EXIT"] }).pids).toEqual([1])
  expect(readAll({ tool: "other" }).pids).toEqual([2])
  expect(readAll({ run: "another" }).pids).toEqual([3])
  expect(readAll({ since: 1_000_003 }).pids).toEqual([3, 4])
})
