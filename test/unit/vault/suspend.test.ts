/** A machine that was suspended: the root key is not used once more, wherever it was kept. */
import { expect, test } from "vitest"
import { SuspendWatch } from "../../../clawfs/sys/suspend.ts"
import { KEY, SUBJECT, TestVault, valueOf } from "../../helpers/vault.ts"

test.each([true, false])("kept by the kernel: %s", (inKernel) => {
  using place = new TestVault()
  let slept = 100
  const sleep = new SuspendWatch(() => slept)
  const vault = place.open({ person: KEY, inKernel, sleep })
  vault.put(SUBJECT, "a", Buffer.from("value"))
  slept += 0.1
  expect(valueOf(vault, "a")).toBe("value")
  // The next root key is under the same watch.
  vault.rotate(SUBJECT)
  expect([valueOf(vault, "a"), vault.isLocked()]).toEqual(["value", false])
  slept += 60
  for (const _ of [1, 2]) expect(() => valueOf(vault, "a")).toThrow("the vault is locked")
  expect(() => vault.put(SUBJECT, "b", Buffer.from("b"))).toThrow("the vault is locked")
  expect(() => vault.rotate(SUBJECT)).toThrow("the vault is locked")
  expect(vault.isLocked()).toBe(true)
  place.close()
  expect(valueOf(place.open(), "a")).toBe("value")
})
