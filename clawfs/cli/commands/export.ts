/** `clawfs export`: files as a plain tar archive that anybody can read. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  only: { type: "string", value: "LIST", help: "only these entries of DIRECTORY, with commas" },
  live: { type: "boolean", help: "read the files as they are now, one by one, without a snapshot" },
  force: { type: "boolean", help: "replace ARCHIVE, if it exists" },
  secrets: { type: "boolean", help: "the vault's secrets too, encrypted under a passphrase" },
  vault: {
    type: "string",
    value: "DIR",
    completes: "directory",
    help: "with --secrets: the vault's directory",
  },
  "passphrase-file": {
    type: "string",
    value: "FILE",
    help: "with --secrets: a file with the vault's passphrase",
  },
  "passphrase-fd": { type: "string", value: "N", help: "with --secrets: read it from descriptor N" },
  "key-file": { type: "string", value: "FILE", help: "with --secrets: a key file of the vault" },
  "recovery-file": {
    type: "string",
    value: "FILE",
    help: "with --secrets: a file with the vault's recovery words",
  },
  "bundle-pass-file": {
    type: "string",
    value: "FILE",
    help: "with --secrets: a file with the passphrase of the archive's secrets",
  },
  "bundle-pass-fd": { type: "string", value: "N", help: "with --secrets: read it from descriptor N" },
  json: { type: "boolean", help: "print one JSON object" },
} as const

export type ExportInvocation = Invocation<typeof options>

export const exportCommand = command({
  name: "export",
  summary: "write files as a plain tar archive, with a manifest",
  usage: "[options] DIRECTORY ARCHIVE",
  description: `
Writes what is in DIRECTORY to the file ARCHIVE, or to stdout if that is "-": a tar archive that every
tar can read (tar --xattrs -xf), and that clawfs import makes files of again, on a ClawFS or any other
filesystem. Kept are modes, owners, times of change to the nanosecond, extended attributes, ACLs, hard
links, links, holes, devices, and names of any bytes. manifest.json in it lists every file with its
SHA-256. docs/EXPORT.md has the format, and what is not kept.

DIRECTORY may be any directory. Of a mount point of ClawFS, workspaces and agents are exported, where
memory, conversations and identities are; --only names others. On a ClawFS a snapshot is taken first and
removed afterwards: the archive shows one moment, whatever programs do meanwhile. Elsewhere, and with
--live, files that were changed while they were read are listed.

With --secrets the archive also has what the vault holds, as secrets.json.enc: encrypted by the vault's
own process under a passphrase of the archive's. That needs what opens the vault once more: without an
option, both passphrases are asked for.

ARCHIVE is read back and compared before it gets its name.`,
  operands: [
    { name: "DIRECTORY", completes: "directory" },
    { name: "ARCHIVE", completes: "directory" },
  ],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs export /clawfs clawfs.tar
clawfs export /clawfs/workspaces/site - | zstd >site.tar.zst
clawfs export --only workspaces,agents,tools /clawfs all.tar
clawfs export --secrets /clawfs clawfs.tar`,
    },
  ],
  exits: [
    [ExitCode.OK, "the archive is whole"],
    [
      ExitCode.NO,
      "it is, but files were changed while they were read, or secrets have expired; they are listed",
    ],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "DIRECTORY is none, or holds a file that no archive can hold"],
    [ExitCode.MISSING, "DIRECTORY does not exist, or an entry that --only names"],
    [ExitCode.UNAVAILABLE, "--secrets: this machine lacks libsodium"],
    [ExitCode.CANNOT_CREATE, "ARCHIVE exists, or would lie in DIRECTORY"],
    [ExitCode.IO, "a disk is full or fails"],
    [ExitCode.BUSY, "the daemon does not answer"],
    [
      ExitCode.DENIED,
      "no permission to read a file or to take a snapshot; a locked encrypted tree or vault; a wrong passphrase",
    ],
  ],
  run: async (invocation) => (await import("../run/export.ts")).runExport(invocation),
})
