/** A definition, a policy and a caller make a plan; a plan makes bubblewrap's options. */
import { expect, test } from "vitest"
import { bwrapOptions, shownAs } from "../../../clawfs/runner/bwrap.ts"
import { planOf } from "../../../clawfs/runner/plan.ts"
import { SandboxPolicy } from "../../../schema/sandbox.ts"
import { ToolDefinition } from "../../../schema/tool.ts"

const definition = (more: object = {}): ToolDefinition =>
  ToolDefinition.parse({
    tool_id: "t",
    version: "1.0.0",
    kind: "native",
    binary_path: "/clawfs/tools/binaries/t-v1.0.0",
    binary_hash: `sha256:${"0".repeat(64)}`,
    binary_bytes: 1,
    installed_at: "2026-01-01T00:00:00Z",
    ...more,
  })
const policy = SandboxPolicy.parse({})

test("of the caller's environment only language and terminal get in, and the manifest has the last word", () => {
  const caller = [
    "LANG=de",
    "LC_TIME=C",
    "TERM=xterm",
    "LD_PRELOAD=/x",
    "SECRET=1",
    "LANGX=1",
    "=x",
    "PATH=/evil",
    `TZ=${"x".repeat(2000)}`,
  ]
  const { environment } = planOf(definition({ environment: { MODE: "x", HOME: "/run" } }), policy, caller)
  expect(environment).toEqual({
    LANG: "de",
    LC_TIME: "C",
    TERM: "xterm",
    PATH: "/usr/local/bin:/usr/bin:/bin",
    HOME: "/run",
    MODE: "x",
  })
})

test("limits are clamped to the policy of now, whatever was installed", () => {
  const small = SandboxPolicy.parse({
    maximum: { memory_limit_mb: 100, timeout_seconds: 5 },
    total: { pids_limit: 8, cpu_quota_percent: 50 },
  })
  const { limits } = planOf(
    definition({ memory_limit_mb: 4096, cpu_quota_percent: 100, pids_limit: 64, timeout_seconds: 60 }),
    small,
    [],
  )
  expect(limits).toEqual({
    ...{ memory_limit_mb: 100, cpu_quota_percent: 50, pids_limit: 8, timeout_seconds: 5 },
    io_limit_mb: null,
  })
})

test("a limit of the disk is the least of the manifest's and the policy's; without any there is none", () => {
  const limited = (own: number | null, maximum: number | null, total: number | null): number | null =>
    planOf(
      definition({ io_limit_mb: own }),
      SandboxPolicy.parse({ maximum: { io_limit_mb: maximum }, total: { io_limit_mb: total } }),
      [],
    ).limits.io_limit_mb
  expect(limited(null, null, null)).toBe(null)
  expect(limited(null, 20, null)).toBe(20)
  expect(limited(30, 20, null)).toBe(20)
  expect(limited(30, null, 10)).toBe(10)
  expect(limited(5, 20, 10)).toBe(5)
})

test("what can be written is bound after everything else, and then nothing is made any more", () => {
  const capabilities = ["filesystem:write:/clawfs/workspaces/w", "filesystem:read:/clawfs/workspaces/r"]
  const plan = planOf(definition({ capabilities }), policy, [])
  const place = { mountpoint: "/mnt/c", toolName: "t", scriptName: undefined }
  const options = bwrapOptions(
    plan,
    place,
    { status: 4, block: 5, seccomp: 6, settings: { hosts: 7 } },
    { tool: "/tmp/0", script: undefined, base: "/base", grants: ["/tmp/1", "/tmp/2"] },
  )
  const root = options.indexOf("--bind")
  expect(options.slice(root, root + 6)).toEqual([
    ...["--bind", "/base", "/", "--ro-bind-data", "7", "/etc/hosts"],
  ])
  const writable = options.lastIndexOf("--bind")
  expect(options.slice(writable)).toEqual([
    ...["--bind", "/tmp/1", "/mnt/c/workspaces/w", "--remount-ro", "/"],
  ])
  expect(options.slice(writable - 3, writable)).toEqual(["--ro-bind", "/tmp/2", "/mnt/c/workspaces/r"])
  expect(options.filter((word) => word === "--bind").length).toBe(2)
  for (const needed of [
    "--unshare-all",
    "--unshare-user",
    "--disable-userns",
    "--die-with-parent",
    "--new-session",
    "--clearenv",
  ])
    expect(options).toContain(needed)
  expect(options[options.indexOf("--cap-drop") + 1]).toBe("ALL")
})

test("a mount point that lies where the sandbox has something else is shown as the specification names it", () => {
  expect(
    ["/mnt/c", "/home/u/claw", "/clawfs", "/usr/clawfs", "/proc/x", "/", "/lib64/x", "/run/tool/x"].map(
      shownAs,
    ),
  ).toEqual([...["/mnt/c", "/home/u/claw", "/clawfs", "/clawfs", "/clawfs", "/clawfs", "/clawfs", "/clawfs"]])
})
