/** One kill of each kind, with a load in an encrypted tree and one beside it; test/slow/kill-supervisor.test.ts has more. */
import { test } from "vitest"
import { plainDirectory, requireFuse, skipIf } from "../helpers/requirements.ts"
import { killBothOfEncrypted, killSupervisorsOfEncrypted } from "../helpers/supervisor-kills.ts"

const noMount =
  plainDirectory === undefined ? undefined : "there is no supervisor to kill in a plain directory"
/** A kill takes 5 s, and twenty on a machine that is busy; some are done again. */
const LIMIT_SECONDS = 380
const options = { timeout: (LIMIT_SECONDS + 20) * 1000 }

test(
  "when the supervisor is killed the server commits and ends: a new mount needs no key, and has all that was answered",
  options,
  async (context) => {
    skipIf(context, noMount, requireFuse())
    await killSupervisorsOfEncrypted(1, LIMIT_SECONDS)
  },
)

test(
  "when both are killed while an encrypted tree is written to, a new mount wants its key, and with it has all that was answered",
  options,
  async (context) => {
    skipIf(context, noMount, requireFuse())
    await killBothOfEncrypted(1, LIMIT_SECONDS)
  },
)
