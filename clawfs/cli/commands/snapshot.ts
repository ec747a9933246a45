/** `clawfs snapshot`: directories as they were. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  writable: { type: "boolean", help: "create: the snapshot can be written to" },
  yes: { type: "boolean", short: "y", help: "restore: also over what was changed since" },
  every: { type: "string", value: "TIME", help: "schedule: how often, such as 10m, 1h, 1d or 1w" },
  keep: { type: "string", value: "N", help: "schedule: how many are kept; older ones are deleted" },
  json: { type: "boolean", help: "print JSON" },
} as const

export type SnapshotInvocation = Invocation<typeof options>

export const ACTIONS = [
  "create",
  "list",
  "diff",
  "restore",
  "delete",
  "schedule",
  "unschedule",
  "schedules",
] as const

export const snapshot = command({
  name: "snapshot",
  summary: "keep directories as they are now",
  usage: "[options] ACTION [NAME] [PATH]",
  description: `
A snapshot is a directory as it was at one instant, with all that is below it: at /.snapshots/NAME on
the mount, which listings of the root leave out. A workspace shows those of itself and of directories
above in workspaces/NAME/snapshots/, as links, left out of its listing too. Making one copies names and
attributes, not contents: a file takes room again only when it is changed, on either side. Snapshots are
read-only unless --writable is given. Only the owner of the daemon makes and deletes them; who may read
one is decided by its permissions, narrowed where a directory above the original kept people out.

  create NAME [DIRECTORY]  makes one of the directory
  list [DIRECTORY]         shows all snapshots of the mount that the directory lies on
  diff NAME [PATH]         shows what was added (+), removed (-), changed (M), renamed (R), or got other
                           attributes (a) since; PATH may be the directory of another snapshot
  restore NAME PATH        makes PATH, which lies in what the snapshot is of, what it was; asks before
                           changes that were made since are lost
  delete NAME [DIRECTORY]  takes the name away; what it held goes in the background
  schedule NAME DIRECTORY --every TIME --keep N
                           makes one now and then, under the name NAME@DATE, while the store is mounted
  unschedule NAME [PATH]   makes no more of them; those that are there stay
  schedules [PATH]         shows the schedules of the mount

Without a directory, the working directory is meant.`,
  operands: [
    { name: "ACTION", completes: ACTIONS },
    { name: "NAME", completes: "directory", optional: true },
    { name: "PATH", completes: "directory", optional: true },
  ],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs snapshot create before-update /clawfs/workspaces/site
ls /clawfs/.snapshots/before-update
clawfs snapshot list /clawfs
clawfs snapshot diff before-update /clawfs/workspaces/site
clawfs snapshot restore before-update /clawfs/workspaces/site/index.html
clawfs snapshot schedule hourly /clawfs/workspaces --every 1h --keep 48
clawfs snapshot delete before-update /clawfs`,
    },
  ],
  exits: [
    [ExitCode.OK, "done; for diff: nothing is different"],
    [ExitCode.NO, "diff: there are differences"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "a name that can't be, or no directory"],
    [ExitCode.MISSING, "no such snapshot or directory, or no ClawFS there"],
    [ExitCode.CANNOT_CREATE, "there is a snapshot of that name"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "the daemon does not answer; restore: changes would be lost, and --yes is missing"],
    [ExitCode.DENIED, "no permission, or mounted read-only"],
  ],
  run: async (invocation) => (await import("../run/snapshot.ts")).runSnapshot(invocation),
})
