/** `clawfs scrub`: reads everything in a store, slowly, to find damage while there is still a copy elsewhere. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  limit: {
    type: "string",
    value: "MIB",
    help: "start: read at most so many MiB a second; default 20, 0 for no limit",
  },
  wait: { type: "boolean", help: "start: wait for the end, and say what was found" },
  json: { type: "boolean", help: "print one JSON object" },
} as const

export type ScrubInvocation = Invocation<typeof options>

export const ACTIONS = ["start", "stop", "status"] as const

export const scrub = command({
  name: "scrub",
  summary: "read everything to find damage",
  usage: "start [--limit MIB] [--wait] [--json] PATH | stop PATH | status [--json] PATH",
  description: `
Checks the database of a mounted store and reads and verifies every record of its log, in the background,
at the lowest priority and at most at --limit MiB a second. Damage is told once, in the log, with the
files that are hit, and by clawfs scrub status and clawfs status. Nothing is changed: see clawfs fsck.

PATH is anything on the mount, or its store. A scrub that is stopped, or ended by an unmount or a killed
daemon, goes on where it was: by itself after a restart, or with the next start. The daemon begins one
by itself every 30 days (clawfs mount --scrub-days).

A store that is not mounted is read by start in the foreground.`,
  operands: [
    { name: "ACTION", completes: ACTIONS },
    { name: "PATH", completes: "directory" },
  ],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs scrub start /clawfs
clawfs scrub status /clawfs
clawfs scrub start --limit 0 --wait /clawfs`,
    },
  ],
  exits: [
    [ExitCode.OK, "done; with --wait and status: nothing is damaged, as far as it is known"],
    [ExitCode.NO, "with --wait and status: damage was found"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "PATH is no store, or its database can't be read at all"],
    [ExitCode.MISSING, "no such path; stop: no scrub is running"],
    [ExitCode.IO, "the disk fails"],
    [ExitCode.BUSY, "a scrub is running, or the daemon does not answer"],
    [ExitCode.DENIED, "no permission, or mounted read-only"],
  ],
  run: async (invocation) => (await import("../run/scrub.ts")).runScrub(invocation),
})
