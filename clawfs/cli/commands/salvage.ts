/** `clawfs salvage`: what is left of a store whose database is lost. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  backup: { type: "string", value: "DIR", completes: "directory", help: "a backup of the store, to help" },
  json: { type: "boolean", help: "print one JSON object" },
} as const

export type SalvageInvocation = Invocation<typeof options>

export const salvage = command({
  name: "salvage",
  summary: "make a new store of what is left of a damaged one",
  usage: "[--backup DIR] [--json] STORE TARGET",
  description: `
For a store that can't be mounted or repaired any more, since its database meta.db is lost or damaged.
Makes a new store in the directory TARGET, which must be missing or empty. STORE is only read.

Names, owners and times come from what can be read of meta.db and, if that is not all, from the copies
that migrations and repairs have left (meta.db.vN, meta.db.fsck-N) and from a backup. Contents come from
the segments: every record says which file it belongs to, where in it, and how new it is. So contents
that are newer than the database are found too. Small files, up to 16 KiB, lie in the database alone.

What has lost its name is in /lost+found, as inode-N. Each line shown is a file that is not whole:

  part  some bytes are lost and read as zeroes, or the log alone tells where they belong: they may
        have been overwritten or deleted since
  lost  only the name is known

Where there is a good backup, clawfs restore is better. Limits of directories are not kept, and files
that are encrypted can't be salvaged.`,
  operands: [
    { name: "STORE", completes: "directory" },
    { name: "TARGET", completes: "directory" },
  ],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs salvage ~/agents.store ~/agents.new
clawfs salvage --backup /mnt/disk/clawfs-backup /var/lib/clawfs /var/lib/clawfs.new`,
    },
  ],
  exits: [
    [ExitCode.OK, "everything was recovered whole, as the newest database has it"],
    [ExitCode.NO, "a new store is made, but not everything is whole or new; it says what"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "nothing in STORE can be read; DIR is no backup of it; TARGET is a bad place"],
    [ExitCode.MISSING, "STORE or DIR does not exist"],
    [ExitCode.UNAVAILABLE, "a backup of a newer version; there are compressed files, and no libzstd here"],
    [ExitCode.CANNOT_CREATE, "TARGET is a file, or not empty"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "STORE is mounted or in use"],
    [ExitCode.DENIED, "no permission"],
  ],
  run: async (invocation) => (await import("../run/salvage.ts")).runSalvage(invocation),
})
