/** A disk that is full, or fails, at each single write of a scripted session. The slow tests leave no write out. */
import { expect, test } from "vitest"
import { requireShim, sweep } from "../faults/run.ts"
import { skipIf } from "../helpers/requirements.ts"

const MODES = [
  ...["full:ENOSPC", "full:ENOSPC:restart", "once:ENOSPC", "short:ENOSPC"],
  ...["once:EIO", "all:EIO", "all:EDQUOT"],
]

test("a write that fails loses nothing that was acknowledged, deleting works, and the session goes on", async (context) => {
  skipIf(context, requireShim())
  const { played, hit, refused, broken } = await sweep({ modes: MODES, every: 40, timeoutSeconds: 120 })
  expect(broken).toEqual([])
  expect(hit).toBeGreaterThan(played / 2)
  expect(refused).toBeGreaterThan(5)
})
