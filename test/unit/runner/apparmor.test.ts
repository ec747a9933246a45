/** A plan as an AppArmor profile, as AppArmor's own parser reads it. */
import { spawnSync } from "node:child_process"
import { beforeEach, describe, expect, test } from "vitest"
import { profileText } from "../../../clawfs/runner/apparmor-profile.ts"
import { findApparmorParser } from "../../../clawfs/runner/find-programs.ts"
import type { SandboxPlan } from "../../../clawfs/runner/plan.ts"
import { skipIf } from "../../helpers/requirements.ts"

const plan: SandboxPlan = {
  grants: [
    { access: "read", path: "workspaces/r" },
    { access: "write", path: "workspaces/w" },
  ],
  ...{ maySpawn: true, network: [], link: undefined, secrets: [], environment: {}, tmpBytes: 1 },
  limits: {
    memory_limit_mb: 64,
    cpu_quota_percent: 10,
    pids_limit: 16,
    timeout_seconds: 1,
    io_limit_mb: null,
  },
}
const options = { name: "clawfs-tool-1-2-3", complains: false, mountpoint: "/mnt/c", given: [] }
const rulesOf = (text: string): string[] => text.split("\n").map((line) => line.trim())

test("what is granted can be read, or written, and nothing is for sockets of the internet", () => {
  const rules = rulesOf(profileText(plan, options))
  expect(rules).toContain('"/mnt/c/workspaces/r/**" mrix,')
  expect(rules).toContain('"/mnt/c/workspaces/w/**" mrwklix,')
  expect(rules.filter((rule) => rule.includes("/mnt/c")).length).toBe(4)
  expect(rules.filter((rule) => rule.startsWith("network inet"))).toEqual([])
  expect(rules.filter((rule) => rule.startsWith("capability") || rule.startsWith("mount"))).toEqual([])
  const network = [{ host: "127.0.0.1", port: 5432, isAddress: true }]
  expect(rulesOf(profileText({ ...plan, network }, options))).toContain("network inet,")
})

test("complaining is a flag of the profile, the caller's files are rules of it", () => {
  const text = profileText(plan, { ...options, complains: true, given: ["/home/u/a b"] })
  expect(text).toMatch(/^profile clawfs-tool-1-2-3 flags=\(attach_disconnected,complain\) \{\n/)
  expect(rulesOf(text)).toContain('"/home/u/a b" rw,')
})

describe("apparmor_parser", () => {
  const parser = findApparmorParser()
  const parse = (text: string): readonly [number | null, string] => {
    const { status, stderr } = spawnSync(parser ?? "", ["-Q", "-K"], { input: text, encoding: "utf8" })
    return [status, stderr]
  }
  beforeEach((context) =>
    skipIf(context, parser === undefined ? "apparmor_parser is not installed" : undefined),
  )

  test.each([
    ["a plain plan", plan, []],
    ["one with network", { ...plan, network: [{ host: "a.org", port: 443, isAddress: false }] }, []],
    [
      "names that mean something to it",
      {
        ...plan,
        grants: ["a b", 'c"d', "e{f,g}", "h*i?j[k]", "l\\m", "n^o", "p\tq", "ü", "@{HOME}", "#x,"].map(
          (path) => ({ access: "write" as const, path: `workspaces/${path}` }),
        ),
      },
      ['/home/u/"quoted" {file}', "/tmp/new\nline"],
    ],
  ])("takes %s", (_title, each, given) => {
    expect(parse(profileText(each, { ...options, given }))[0]).toBe(0)
  })

  test("and refuses what is no profile, or this would prove nothing", () => {
    expect(parse("profile x { /a rw }")[0]).not.toBe(0)
  })
})
