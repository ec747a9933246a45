/** `clawfs import`: files of an archive that clawfs export has made. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  replace: { type: "boolean", help: "replace what is there and differs; directories are never removed" },
  check: { type: "boolean", help: "read the archive and say whether it is whole; write nothing" },
  "no-owners": { type: "boolean", help: "as root: all files become yours" },
  privileged: {
    type: "boolean",
    help: "as root: make device nodes, setuid programs, and attributes of security and trusted",
  },
  "max-bytes": {
    type: "string",
    value: "SIZE",
    help: "how long all files may be together; default 64 GiB, or 64 times the archive",
  },
  secrets: { type: "boolean", help: "store the archive's secrets in the vault, too" },
  vault: {
    type: "string",
    value: "DIR",
    completes: "directory",
    help: "with --secrets: the vault's directory",
  },
  "bundle-pass-file": {
    type: "string",
    value: "FILE",
    help: "with --secrets: a file with the passphrase of the archive's secrets",
  },
  "bundle-pass-fd": { type: "string", value: "N", help: "with --secrets: read it from descriptor N" },
  json: { type: "boolean", help: "print one JSON object" },
} as const

export type ImportInvocation = Invocation<typeof options>

export const importCommand = command({
  name: "import",
  summary: "make files of an archive again, and prove it",
  usage: "[options] ARCHIVE [DIRECTORY]",
  description: `
Makes the files of ARCHIVE, which clawfs export has written, in DIRECTORY: on a ClawFS or on any other
filesystem. A directory that is missing is made. ARCHIVE is read whole first and compared with its
manifest: nothing is written for one that is damaged, cut off, or made to do harm. Afterwards everything
is read back from the disk and compared.

A file that is there already, and is the same, stays. One that differs is kept and listed, unless
--replace is given. An import that was interrupted is repeated: it goes on where it was, and the result
is the same.

With --secrets the archive's secrets are stored in the vault, which must be unlocked; a secret of which
the vault has another value is kept, unless --replace is given. DIRECTORY may be left out then.

Owners are kept for root; for others all files become theirs. Nothing is written outside of DIRECTORY,
whatever links are in it, nor on other filesystems that are mounted in it.`,
  operands: [
    { name: "ARCHIVE", completes: "directory" },
    { name: "DIRECTORY", completes: "directory", optional: true },
  ],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs import clawfs.tar /clawfs
clawfs import --check clawfs.tar
clawfs import --replace site.tar /clawfs/workspaces/site
clawfs import --secrets clawfs.tar`,
    },
  ],
  exits: [
    [ExitCode.OK, "all files are there, and are what the archive has"],
    [ExitCode.NO, "files or secrets that differ were kept; they are listed, all others are there"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "ARCHIVE is no export, damaged or hostile (nothing is written); DIRECTORY is none"],
    [ExitCode.MISSING, "ARCHIVE does not exist, or the directory that DIRECTORY would lie in"],
    [
      ExitCode.UNAVAILABLE,
      "another filesystem is mounted where a file should be; --secrets: this machine lacks libsodium",
    ],
    [ExitCode.IO, "the disk is full or fails; the same command goes on"],
    [ExitCode.BUSY, "somebody else changed DIRECTORY meanwhile: run it again"],
    [
      ExitCode.DENIED,
      "no permission; --privileged is needed; read-only; a locked tree or vault; a wrong passphrase",
    ],
  ],
  run: async (invocation) => (await import("../run/import.ts")).runImport(invocation),
})
