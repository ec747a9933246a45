import { expect, test } from "vitest"
import { SuspendWatch } from "../../../clawfs/sys/suspend.ts"

test("a machine that slept is noticed once", () => {
  let slept = 100
  const watch = new SuspendWatch(() => slept)
  expect(watch.hasSlept()).toBe(false)
  slept += 0.01
  expect(watch.hasSlept()).toBe(false)
  slept += 3
  expect([watch.hasSlept(), watch.hasSlept()]).toEqual([true, false])
})

test("a machine that is awake has not slept", () => {
  const watch = new SuspendWatch()
  for (let at = 0; at < 100; at += 1) expect(watch.hasSlept()).toBe(false)
})
