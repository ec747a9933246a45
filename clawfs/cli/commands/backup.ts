/** `clawfs backup`: a consistent copy of a store, made while it is in use. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  keep: { type: "string", value: "N", help: "how many backups to keep in DIR; default 7" },
  verify: { type: "boolean", help: "read all of the store and of the last backup, not only what is new" },
  json: { type: "boolean", help: "print one JSON object" },
} as const

export type BackupInvocation = Invocation<typeof options>

export const backup = command({
  name: "backup",
  summary: "copy a store, mounted or not, as of one moment",
  usage: "[--keep N] [--verify] [--json] STORE|MOUNTPOINT DIR",
  description: `
Makes a backup of the store in the directory DIR, which must be missing, empty, or hold earlier backups
of the same store. Everything that programs on the mount were told was done is in it; they go on
working meanwhile. A store that is not mounted can't be mounted until the backup is made.

Each backup is a directory of its own, named after the time: a whole store, for clawfs restore. Backups
share what they have in common, so that the second one costs time and space only for what is new. When
there are more than N, the oldest are removed.

All contents are verified while they are copied. What is damaged in the store is told by file, and
taken from the backup before if that has it whole. With --verify the other contents are compared too;
what was damaged in DIR since it was written there is copied again.

It can be interrupted or killed at any time: the earlier backups stay as they are, and the next run goes
on where this one stopped. DIR belongs to you alone; whoever can read it can read all files.`,
  operands: [
    { name: "STORE", completes: "directory" },
    { name: "DIR", completes: "directory" },
  ],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs backup /clawfs /mnt/disk/clawfs-backup
clawfs backup --keep 30 ~/agents.store ~/agents.backup`,
    },
  ],
  exits: [
    [ExitCode.OK, "the backup is made"],
    [ExitCode.NO, "the backup is made, but some contents are damaged in the store; they are listed"],
    [ExitCode.USAGE, "wrong usage"],
    [
      ExitCode.DATA,
      "STORE is no store or damaged; DIR would lie on a ClawFS mount, in a store or another backup",
    ],
    [ExitCode.MISSING, "STORE does not exist"],
    [ExitCode.UNAVAILABLE, "a store, a backup or a daemon of another version"],
    [ExitCode.CANNOT_CREATE, "DIR is a file, holds other things, or the backup of another store"],
    [ExitCode.IO, "the disk is full or fails; the earlier backups are whole"],
    [ExitCode.BUSY, "STORE was not unmounted, or is in use; another backup is being made in DIR"],
    [ExitCode.DENIED, "no permission; DIR is another user's, or others may write in it"],
  ],
  run: async (invocation) => (await import("../run/backup.ts")).runBackup(invocation),
})
