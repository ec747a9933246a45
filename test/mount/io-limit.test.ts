/** How fast a tool reads the disk that the machine's programs are on. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { skipIf } from "../helpers/requirements.ts"
import { controlOf } from "../tools/events.ts"
import { installTool, lastRecord, requireTools, runTool } from "../tools/tools.ts"

const MIB = 1024 * 1024
let mount: Mount
let reason: string | undefined
beforeAll(async () => {
  reason = requireTools()
  if (reason !== undefined) return
  mount = await mountClawfs({ limitSeconds: 120 })
  const { state, detail } = await controlOf(mount, "io")
  if (state !== "enforced") reason = detail
})
afterAll(async () => {
  if (requireTools() === undefined) await mount[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, reason))

/** Reads so many times the first MiB of the program that runs it, past the page cache. */
const reader = (name: string, more: object): Promise<void> =>
  installTool(
    mount,
    { tool_id: name, capabilities: ["process:spawn"], cpu_quota_percent: 100, ...more },
    {
      script: `#!/bin/bash\nfor ((k = 0; k < $1; k++)); do dd if=/bin/bash of=/dev/null bs=1M count=1 iflag=direct status=none || exit; done`,
    },
  )

test("a tool reads no faster than its manifest lets it, and its record says how much it was", async () => {
  await reader("slow", { io_limit_mb: 2 })
  expect((await runTool(mount, "slow", ["6"])).code).toBe(0)
  const { usage, limits, duration_ms } = await lastRecord(mount)
  expect(limits.io_limit_mb).toBe(2)
  expect(usage.io_read_bytes).toBeGreaterThanOrEqual(6 * MIB)
  expect(usage.io_written_bytes).toBe(0)
  // 3 s by the clock of the kernel's accounts, which give a little ahead.
  expect(duration_ms).toBeGreaterThan(2000)
})

test("one without a limit has none, also in the group of one that had one", async () => {
  await reader("free", {})
  for (let run = 0; run < 3; run += 1) expect((await runTool(mount, "free", ["1"])).code).toBe(0)
  const { usage, limits } = await lastRecord(mount)
  expect(limits.io_limit_mb).toBe(null)
  expect(usage.io_read_bytes).toBeGreaterThanOrEqual(MIB)
})
