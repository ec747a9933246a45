/** Counters for Prometheus, by HTTP on a unix socket or a loopback address. */
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { get } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { Metrics } from "../../../clawfs/monitor/metrics.ts"
import type { ToolEvent } from "../../../schema/tool-event.ts"

let directory: string
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "metrics-"))))
afterEach(() => rmSync(directory, { recursive: true }))

const event = { type: "POLICY_VIOLATION", tool: "grep-notes", layer: "seccomp" } as ToolEvent
const made = (): Metrics =>
  new Metrics(() => ({ totals: { sent: 9, dropped: 1, capped: 2, unmarked: 0 }, running: 3 }))

function fetchFrom(options: object): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    get(options, (response) => {
      let text = ""
      response.on("data", (chunk) => (text += String(chunk)))
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }))
    }).on("error", reject)
  })
}

test("events are counted by type, tool and layer, each family with its help and type", () => {
  const metrics = made()
  metrics.count(event)
  metrics.count(event)
  metrics.count({ ...event, type: "FILE_ACCESS" })
  const text = metrics.text()
  expect(text).toContain(
    'clawfs_tool_events_total{type="POLICY_VIOLATION",tool="grep-notes",layer="seccomp"} 2\n',
  )
  for (const [name, value] of [
    ["clawfs_monitor_records_total", 9],
    ["clawfs_monitor_dropped_total", 1],
    ["clawfs_monitor_capped_total", 2],
    ["clawfs_tools_running", 3],
  ] as const) {
    expect(text).toMatch(new RegExp(`# HELP ${name} .+\n# TYPE ${name} (counter|gauge)\n${name} ${value}\n`))
  }
})

test("a unix socket is its owner's alone, and goes with its server", async () => {
  const path = join(directory, "metrics.sock")
  const metrics = made()
  await metrics.listen(`unix:${path}`)
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(await fetchFrom({ socketPath: path, path: "/metrics" })).toMatchObject({ status: 200 })
  expect(await fetchFrom({ socketPath: path, path: "/" })).toMatchObject({ status: 404 })
  await metrics[Symbol.asyncDispose]()
  expect(existsSync(path)).toBe(false)
})

test("what is no socket is not removed for one", async () => {
  const path = join(directory, "file")
  writeFileSync(path, "mine")
  await using metrics = made()
  await expect(metrics.listen(`unix:${path}`)).rejects.toThrow("EADDRINUSE")
  expect(existsSync(path)).toBe(true)
})

test.each(["0.0.0.0:9464", "192.0.2.1:80", "localhost:1", "unix", "tcp:1"])(
  "%s is no place for them",
  async (place) => {
    await using metrics = made()
    await expect(metrics.listen(place)).rejects.toThrow("no loopback address")
  },
)
