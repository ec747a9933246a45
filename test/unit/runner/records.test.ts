/** Records of runs: whole or not there, bounded in number, completed when nobody else can. */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { NO_USAGE } from "../../../clawfs/runner/cgroup-files.ts"
import { MOST_RECORDS, Records, newRunId } from "../../../clawfs/runner/records.ts"
import type { RunRecord } from "../../../schema/run-record.ts"
import { Log } from "../../../clawfs/core/log.ts"
import { temporary } from "../support/temporary.ts"

const log = new Log("test")

function record(run_id: string, state: RunRecord["state"]): RunRecord {
  const limits = {
    memory_limit_mb: 1,
    cpu_quota_percent: 1,
    pids_limit: 1,
    timeout_seconds: 1,
    tmp_limit_mb: 16,
    io_limit_mb: null,
  }
  return {
    ...{ format: 1, run_id, tool_id: "t", version: "1.0.0", binary_hash: "", limits, usage: NO_USAGE, state },
    ...{ caller: { uid: 1, gid: 2, pid: 3 }, arguments: { count: 0, sha256: "" }, started_at: "" },
    ...{
      ended_at: null,
      duration_ms: null,
      exit_status: null,
      reason: null,
      detail: null,
      packets: null,
      events: null,
    },
  }
}

const directoryIn = (path: string): string => {
  const directory = join(path, "runs")
  mkdirSync(directory)
  return directory
}

test("ids sort as the times do", () => {
  const ids = [0, 1, 999, 1000, 60_000, 1e10].map((ms) => newRunId(new Date(ms)))
  expect([...ids].sort()).toEqual(ids)
  expect(new Set(ids.map(() => newRunId())).size).toBe(ids.length)
})

test("the oldest go when there are too many", () => {
  using place = temporary()
  const directory = directoryIn(place.path)
  const old = Array.from({ length: MOST_RECORDS }, (_, at) => newRunId(new Date(at)))
  for (const id of old) writeFileSync(join(directory, `${id}.json`), "{}")
  writeFileSync(join(directory, "of somebody else"), "")
  const records = new Records(directory, log)
  const id = newRunId()
  records.write(record(id, "running"))
  records.write(record(id, "ended"))
  records.trim()
  const names = readdirSync(directory)
  expect(names.length).toBe(MOST_RECORDS + 1)
  expect(names).toContain("of somebody else")
  expect(names).not.toContain(`${old[0] ?? ""}.json`)
  expect(names).toContain(`${old[1] ?? ""}.json`)
})

test("what a dead runner has begun is completed, what is ended stays, what is damaged is left", () => {
  using place = temporary()
  const directory = directoryIn(place.path)
  const [running, ended, damaged] = [newRunId(new Date(1)), newRunId(new Date(2)), newRunId(new Date(3))]
  writeFileSync(join(directory, `${running}.json`), JSON.stringify(record(running, "running")))
  writeFileSync(join(directory, `${ended}.json`), JSON.stringify(record(ended, "ended")))
  writeFileSync(join(directory, `${damaged}.json`), '{"state":')
  new Records(directory, log).complete()
  const read = (id: string): string => readFileSync(join(directory, `${id}.json`), "utf8")
  expect(JSON.parse(read(running))).toMatchObject({ state: "ended", reason: "DAEMON_DIED", run_id: running })
  expect(JSON.parse(read(ended))).toEqual(record(ended, "ended"))
  expect(read(damaged)).toBe('{"state":')
})

test("a directory that can't be written is no reason to fail", () => {
  using place = temporary()
  writeFileSync(join(place.path, "system"), "a file")
  const records = new Records(join(place.path, "system", "runs"), log)
  expect(() => records.write(record(newRunId(), "ended"))).not.toThrow()
})
