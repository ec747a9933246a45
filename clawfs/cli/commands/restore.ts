/** `clawfs restore`: a store from a backup. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  partial: { type: "boolean", help: "restore what is whole of a damaged backup" },
  json: { type: "boolean", help: "print one JSON object" },
} as const

export type RestoreInvocation = Invocation<typeof options>

export const restore = command({
  name: "restore",
  summary: "make a store from a backup, and prove it",
  usage: "[--partial] [--json] BACKUP STORE",
  description: `
Makes a store in the directory STORE, which must be missing or empty, from a backup that clawfs backup
has made. BACKUP is its directory, then the newest whole backup in it is taken, or one of the
directories in that. The backup itself is not changed.

Every byte is verified on the way, and in the end the new store is checked as by clawfs fsck. If the
backup is damaged, the files that are hit are listed and nothing is restored; with --partial everything
else is. Reading the lost bytes of those files fails.

It can be interrupted or killed at any time: the same command goes on where it stopped. STORE is no
store before it is complete.`,
  operands: [
    { name: "BACKUP", completes: "directory" },
    { name: "STORE", completes: "directory" },
  ],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs restore /mnt/disk/clawfs-backup /var/lib/clawfs
clawfs restore ~/agents.backup/2026-11-21T060000Z ~/agents.of-this-morning`,
    },
  ],
  exits: [
    [ExitCode.OK, "the store is restored and proved"],
    [
      ExitCode.NO,
      "with --partial, or of an older backup as a newer one is damaged; or the check found something",
    ],
    [ExitCode.USAGE, "wrong usage"],
    [
      ExitCode.DATA,
      "BACKUP is no backup, or damaged; STORE would lie on a ClawFS mount, in a store or a backup",
    ],
    [ExitCode.MISSING, "BACKUP does not exist, or holds no whole backup"],
    [ExitCode.UNAVAILABLE, "a backup of another version"],
    [ExitCode.CANNOT_CREATE, "STORE is a file, a store, or not empty"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "a backup is being made in BACKUP"],
    [ExitCode.DENIED, "no permission"],
  ],
  run: async (invocation) => (await import("../run/restore.ts")).runRestore(invocation),
})
