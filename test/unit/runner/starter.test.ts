/** What the first program of a sandbox is told, and what the status says of Landlock. */
import { expect, test } from "vitest"
import type { SandboxPlan } from "../../../clawfs/runner/plan.ts"
import { landlockControl } from "../../../clawfs/runner/probe.ts"
import { starterWords } from "../../../clawfs/runner/starter.ts"

const plan: SandboxPlan = {
  grants: [
    { access: "read", path: "workspaces/r" },
    { access: "write", path: "workspaces/w" },
  ],
  maySpawn: true,
  network: [
    { host: "127.0.0.1", port: 5432, isAddress: true },
    { host: "example.org", port: 5432, isAddress: false },
  ],
  link: { ports: [8080, 5432], network: "10.213" },
  secrets: [
    { name: "a", variable: "A", as: "env" },
    { name: "b", variable: "B", as: "fd" },
  ],
  environment: {},
  limits: {
    memory_limit_mb: 64,
    cpu_quota_percent: 10,
    pids_limit: 16,
    timeout_seconds: 1,
    io_limit_mb: null,
  },
  tmpBytes: 1,
}
const place = { mountpoint: "/mnt/c", toolName: "t", scriptName: undefined }

test("what may be written is what is mounted so, ports and secrets as granted", () => {
  const words = starterWords(plan, place, { call: 8, landlock: 6, secrets: [9, 10] })
  expect(words[0]).toBe("l6")
  expect(words.slice(-5)).toEqual(["t5432", "t8080", "h8", "e9=A", "p10=B"])
  expect(words.filter((word) => word.startsWith("w"))).toEqual(["w/dev/shm", "w/tmp", "w/mnt/c/workspaces/w"])
  expect(words).toContain("r/mnt/c/workspaces/r")
})

test("without Landlock there are no rules", () => {
  const options = { call: 7, landlock: 0, secrets: [] }
  expect(starterWords({ ...plan, secrets: [] }, place, options)).toEqual(["h7"])
})

test.each([
  [{ reason: "none" }, undefined, "absent"],
  [1, undefined, "absent"],
  [2, undefined, "degraded"],
  [4, undefined, "enforced"],
  [7, undefined, "enforced"],
  [7, { detail: "it did not work" }, "absent"],
] as const)("version %j, failure %j: %s", (version, failure, state) => {
  expect(landlockControl(version, failure)).toMatchObject({ name: "landlock", state })
})
