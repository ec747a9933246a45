/** `clawfs snapshot`: directories as they were. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  writable: { type: "boolean", help: "create: the snapshot can be written to" },
  json: { type: "boolean", help: "print JSON" },
} as const

export type SnapshotInvocation = Invocation<typeof options>

export const ACTIONS = ["create", "list", "delete"] as const

export const snapshot = command({
  name: "snapshot",
  summary: "keep directories as they are now",
  usage: "create NAME [DIRECTORY] | list [DIRECTORY] | delete NAME [DIRECTORY]",
  description: `
A snapshot is a directory as it was at one instant, with all that is below it: at /.snapshots/NAME on
the mount, which listings of the root leave out. Making one copies names and attributes, not contents: a
file takes room again only when it is changed, on either side. Snapshots are read-only unless --writable
is given. Only the owner of the daemon makes and deletes them; who may read one is decided by its
permissions, narrowed where a directory above the original kept people out.

DIRECTORY is what a new snapshot is made of; for list and delete it is any directory on the mount.
Without it, the working directory is meant. What a deleted snapshot held goes in the background.`,
  operands: [
    { name: "ACTION", completes: ACTIONS },
    { name: "NAME", completes: "directory", optional: true },
    { name: "DIRECTORY", completes: "directory", optional: true },
  ],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs snapshot create before-update /clawfs/workspaces/site
ls /clawfs/.snapshots/before-update
clawfs snapshot list /clawfs
clawfs snapshot delete before-update /clawfs`,
    },
  ],
  exits: [
    [ExitCode.OK, "done"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "a name that can't be, or no directory"],
    [ExitCode.MISSING, "no such snapshot or directory, or no ClawFS there"],
    [ExitCode.CANNOT_CREATE, "there is a snapshot of that name"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "the daemon does not answer"],
    [ExitCode.DENIED, "no permission, or mounted read-only"],
  ],
  run: async (invocation) => (await import("../run/snapshot.ts")).runSnapshot(invocation),
})
