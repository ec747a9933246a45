/** What is written into the files of control groups, and read from them; the kernel's own are in the mount tests and the virtual machine. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { setLimit, usageOf } from "../../../clawfs/runner/cgroup-files.ts"
import { CGROUP_CONTROLS, type Hierarchy } from "../../../clawfs/runner/cgroup-hierarchy.ts"

let place: string
beforeEach(() => (place = mkdtempSync(join(tmpdir(), "clawfs-groups-"))))
afterEach(() => rmSync(place, { recursive: true }))

const hierarchy = (version: 1 | 2, disk: string): Hierarchy => ({
  version,
  directory: (control, name) => join(place, version === 1 ? control : "", name),
  controls: new Set(CGROUP_CONTROLS),
  missing: new Map(),
  disk,
})
const limits = { memory_limit_mb: 64, cpu_quota_percent: 10, pids_limit: 16 }

test("io.max names the disk, and both ways; no limit is max", () => {
  const groups = hierarchy(2, "254:0")
  setLimit(groups, "io", "", { ...limits, io_limit_mb: 2 })
  expect(readFileSync(join(place, "io.max"), "utf8")).toBe("254:0 rbps=2097152 wbps=2097152")
  setLimit(groups, "io", "", { ...limits, io_limit_mb: null })
  expect(readFileSync(join(place, "io.max"), "utf8")).toBe("254:0 rbps=max wbps=max")
})

test("version 1 has a file for each way; no limit is 0", () => {
  mkdirSync(join(place, "io"))
  const groups = hierarchy(1, "254:0")
  const both = (): string[] =>
    ["read", "write"].map((way) =>
      readFileSync(join(place, "io", `blkio.throttle.${way}_bps_device`), "utf8"),
    )
  setLimit(groups, "io", "", { ...limits, io_limit_mb: 1 })
  expect(both()).toEqual(["254:0 1048576", "254:0 1048576"])
  setLimit(groups, "io", "", { ...limits, io_limit_mb: null })
  expect(both()).toEqual(["254:0 0", "254:0 0"])
})

test("bytes moved are those of the disk, 0 when it has no line, null where nobody counts", () => {
  const io = (disk: string): unknown[] => {
    const { io_read_bytes, io_written_bytes } = usageOf(hierarchy(2, disk), "")
    return [io_read_bytes, io_written_bytes]
  }
  expect(io("254:0")).toEqual([null, null])
  writeFileSync(
    join(place, "io.stat"),
    "7:0 rbytes=1 wbytes=2 rios=1 wios=1 dbytes=0 dios=0\n254:0 rbytes=4096 wbytes=512 rios=1 wios=1 dbytes=0 dios=0\n",
  )
  expect(io("254:0")).toEqual([4096, 512])
  expect(io("254:1")).toEqual([0, 0])
  expect(io("")).toEqual([null, null])
})

test("the same of version 1", () => {
  mkdirSync(join(place, "io"))
  writeFileSync(
    join(place, "io", "blkio.throttle.io_service_bytes"),
    "254:0 Read 8192\n254:0 Write 1024\n254:0 Sync 9216\n254:0 Total 9216\nTotal 9216\n",
  )
  const { io_read_bytes, io_written_bytes } = usageOf(hierarchy(1, "254:0"), "")
  expect([io_read_bytes, io_written_bytes]).toEqual([8192, 1024])
})
