/** `clawfs fsck`: whether a store is as docs/FORMAT.md says, and mending it. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  repair: { type: "boolean", help: "mend what can be mended; the store must not be mounted" },
  "drop-sealed": {
    type: "boolean",
    help: "with --repair: give up answered requests that wait for the key of an encrypted tree, which is lost",
  },
  json: { type: "boolean", help: "one JSON object instead of lines" },
} as const

export type FsckInvocation = Invocation<typeof options>

export const fsck = command({
  name: "fsck",
  summary: "check a store, and repair it",
  usage: "[--repair [--drop-sealed]] [--json] STORE|MOUNTPOINT",
  description: `
Reads all of a store and compares it with the rules of its format: names, links, sizes, sums, and
the checksum of every record. A mounted store is checked as of one moment, while it is in use. Each
line that is shown says what is wrong and where:

  error     a rule is broken; for contents, the bytes that can't be read
  repaired  so it was, and is no more
  note      something that costs space at most, such as what a crash has left behind

--repair copies meta.db to meta.db.fsck-N first. It puts counts, sums and types right, removes names
without a file and rows without an inode, and hangs what has lost its name into /lost+found, under
its inode number. It takes nothing away that can still be read. Bytes of a file whose record is
damaged can't be brought back: reading them goes on to fail, and the file must come from a backup.

Without --repair nothing is changed.`,
  operands: [{ name: "STORE", completes: "directory" }],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs fsck ~/agents                  the store that is mounted there
clawfs fsck --repair ~/agents.store`,
    },
  ],
  exits: [
    [ExitCode.OK, "nothing is wrong, or everything was repaired; notes don't count"],
    [ExitCode.NO, "something is wrong, and is still so"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "STORE is no store, or so damaged that it can't be read at all"],
    [ExitCode.MISSING, "STORE does not exist"],
    [ExitCode.UNAVAILABLE, "a store of another version"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "another program has the store; with --repair: it is mounted, or was not unmounted"],
    [ExitCode.DENIED, "no permission, or a read-only filesystem"],
  ],
  run: async (invocation) => (await import("../run/fsck.ts")).runFsck(invocation),
})
