/** Unlocking a tree with a wrong key: the right one stays where the next server will look for it. */
import { randomBytes } from "node:crypto"
import { afterAll, expect, test } from "vitest"
import { Log } from "../../../clawfs/core/log.ts"
import { Encryption } from "../../../clawfs/server/encryption.ts"
import type { KeyOrder } from "../../../clawfs/server/messages.ts"
import { dropKept, keepKey, keptKey } from "../../../keyring/keyring.ts"
import { copySecret, randomSecret } from "../../../keyring/secret.ts"
import { TreeKey } from "../../../keyring/tree-key.ts"
import { skipIf } from "../../helpers/requirements.ts"

const identity = { uuid: randomBytes(16), id: 1, generation: 1 }
const right = new TreeKey(identity, randomSecret())
afterAll(() => dropKept(identity))

test("is refused before the kernel's key is touched", async (context) => {
  skipIf(context, keepKey(right))
  dropKept(identity)
  const orders: string[] = []
  const state = { id: 1, generation: 1, checkValue: right.checkValue(), locked: false, tops: [], slots: [] }
  const report = { uuid: identity.uuid, nextId: 2, keys: [{ ...state, rekeying: false, rewrapped: 0 }] }
  const run = (order: KeyOrder): Promise<unknown> => {
    orders.push(order.do)
    return Promise.resolve(order.do === "list" ? report : undefined)
  }
  const encryption = new Encryption(run, () => false, new Log("test"))
  const kept = (): Buffer | undefined => keptKey(identity)?.expose()
  await encryption.unlock(1, 1, right.expose())
  expect(kept()).toEqual(right.expose())
  expect(orders).toContain("unlock")
  orders.length = 0
  await expect(encryption.unlock(1, 1, copySecret(randomSecret()))).rejects.toThrow("not the key of the tree")
  expect(kept()).toEqual(right.expose())
  expect(orders).not.toContain("unlock")
})
