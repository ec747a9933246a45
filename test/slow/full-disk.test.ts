import { expect, test } from "vitest"
import { requireShim, sweep } from "../faults/run.ts"
import { skipIf } from "../helpers/requirements.ts"

const ERRNOS = ["ENOSPC", "EDQUOT", "EIO"]

for (const mode of ["full", "once", "short", "all"])
  test(`each single write of a session fails (${mode}): nothing acknowledged is lost, and it goes on`, async (context) => {
    skipIf(context, requireShim())
    const modes = ERRNOS.flatMap((errno) => [`${mode}:${errno}`, `${mode}:${errno}:restart`])
    const { played, hit, refused, broken } = await sweep({ modes, every: 1, timeoutSeconds: 1500 })
    console.log(`${mode}: ${played} sessions, ${hit} with a failed call, ${refused} steps refused`)
    expect(broken).toEqual([])
    expect(hit).toBeGreaterThan(played / 2)
  })
