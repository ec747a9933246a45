/** What a process that was to become a sandbox says when it can't. */
import { closeSync } from "node:fs"
import { expect, test } from "vitest"
import { Slot } from "../../../clawfs/runner/keeper.ts"
import { messagePair } from "../../../clawfs/sys/pipes.ts"
import { sendMessage } from "../../../clawfs/sys/seqpacket.ts"

const WHY = "control group: Operation not permitted"

test.each([
  ["before it was told what to run", false],
  ["after that, which it has not read", true],
])("it ended %s: its reason is heard", (_title, isTold) => {
  const [own, other] = messagePair()
  using slot = new Slot(own, () => undefined)
  if (isTold) slot.launch([], 0)
  expect(sendMessage(other, Buffer.from(WHY))).toBe(true)
  closeSync(other)
  expect(slot.failure()).toBe(WHY)
})

test("one that says nothing has no reason", () => {
  const [own, other] = messagePair()
  using slot = new Slot(own, () => undefined)
  expect(slot.failure()).toBeUndefined()
  closeSync(other)
  expect(slot.failure()).toBeUndefined()
})
