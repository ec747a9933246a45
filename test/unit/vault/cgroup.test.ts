/** Grants to the processes of a control group. */
import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { subjectOf } from "../../../vault/service/caller.ts"
import { AGENT, TestMethods } from "../../helpers/vault-methods.ts"

const GROUP = "/system.slice/agent.service"

test("a grant to a group is for the processes in it and below, and for nobody of whom it is not known", () => {
  using vault = new TestMethods()
  vault.put("api", "value")
  vault.grant("api", "reveal", { uid: AGENT.uid, cgroup: GROUP })
  const get = (cgroup?: string): string => vault.get({ ...AGENT, cgroup }, "api")
  expect([get(GROUP), get(`${GROUP}/tool-1`)]).toEqual(["value", "value"])
  for (const other of [undefined, "/", "/system.slice", `${GROUP}-2`, `/user.slice${GROUP}`])
    expect(() => get(other)).toThrow("no grant allows this")
  for (const wrong of ["", "system.slice", "/system.slice/"])
    expect(() => vault.grant("api", "reveal", { cgroup: wrong })).toThrow()
})

test("the root group is everybody's whose group is known", () => {
  using vault = new TestMethods()
  vault.put("api", "value")
  vault.grant("api", "reveal", { cgroup: "/" })
  expect(vault.get({ ...AGENT, cgroup: GROUP }, "api")).toBe("value")
  expect(() => vault.get(AGENT, "api")).toThrow("no grant allows this")
})

test("the group is what the kernel says, and asked for only where a grant needs it", () => {
  const peer = { pid: process.pid, uid: 0, gid: 0, pidfd: undefined }
  const expected = /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1]
  expect(subjectOf(peer, { inFull: true }).cgroup).toBe(expected)
  expect(subjectOf(peer)).not.toHaveProperty("cgroup")
})
