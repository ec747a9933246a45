/** As test/mount/kill-supervisor.test.ts, with 30 kills of each kind, or as many as CLAWFS_TEST_KILLS says. */
import { test } from "vitest"
import { plainDirectory, requireFuse, skipIf } from "../helpers/requirements.ts"
import {
  killBoth,
  killBothOfEncrypted,
  killSupervisors,
  killSupervisorsOfEncrypted,
} from "../helpers/supervisor-kills.ts"

const noMount =
  plainDirectory === undefined ? undefined : "there is no supervisor to kill in a plain directory"
const KILLS = Number(process.env["CLAWFS_TEST_KILLS"] ?? 30)
const LIMIT_SECONDS = Math.max(400, 60 * KILLS)
const options = { timeout: (LIMIT_SECONDS + 20) * 1000 }

for (const [what, kill] of [
  ["supervisors of a plain tree", killSupervisors],
  ["supervisors of an encrypted tree", killSupervisorsOfEncrypted],
  ["supervisors and servers of a plain tree", killBoth],
  ["supervisors and servers of an encrypted tree", killBothOfEncrypted],
] as const)
  test(`nothing that was answered is lost when ${what} are killed`, options, async (context) => {
    skipIf(context, noMount, requireFuse())
    await kill(KILLS, LIMIT_SECONDS)
  })
