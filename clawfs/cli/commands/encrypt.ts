/** `clawfs encrypt`: make a directory an encrypted tree. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  "key-file": {
    type: "string",
    value: "FILE",
    help: "a key file: 32 random bytes or more that only you can read",
  },
  "passphrase-file": { type: "string", value: "FILE", help: "a file whose one line is the passphrase" },
  "passphrase-fd": { type: "string", value: "N", help: "read the passphrase from descriptor N" },
  vault: { type: "boolean", help: "the vault keeps what opens it, and opens it when it is unlocked" },
  kdf: {
    type: "string",
    value: "NAME",
    completes: ["argon2id", "pbkdf2"],
    help: "how a new passphrase becomes a key: argon2id (where libsodium is installed) or pbkdf2",
  },
} as const

export type EncryptInvocation = Invocation<typeof options>

export const encrypt = command({
  name: "encrypt",
  summary: "make a directory an encrypted tree",
  usage: "[options] DIR",
  description: `
Makes DIR, an empty directory on a ClawFS mount, the top of an encrypted tree, and leaves it unlocked.
From then on the names, contents, extended attributes and link targets of all that is made in it are
encrypted in the store. Sizes, times, owners, modes and the shape of the tree are not. Nothing can be
renamed or linked into it or out of it; mv copies.

Without an option a passphrase is asked for, twice. Whoever loses the key file or the passphrase has
lost the files: there is no other way in. clawfs keys --add makes a second one.

With --vault, the vault (clawfs vault, which must be unlocked) makes a secret for this tree and keeps it
under the name tree-...: a mounted tree is unlocked as soon as the vault is, and locked when it is.`,
  operands: [{ name: "DIR", completes: "directory" }],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs encrypt /clawfs/agents/alice
clawfs encrypt --key-file ~/.keys/alice /clawfs/agents/alice
clawfs encrypt --vault /clawfs/workspaces/x`,
    },
  ],
  exits: [
    [ExitCode.OK, "done"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "DIR is not a directory on a ClawFS mount; the key file or passphrase does not do"],
    [ExitCode.MISSING, "DIR or the key file does not exist"],
    [ExitCode.UNAVAILABLE, "this machine has no argon2id"],
    [ExitCode.CANNOT_CREATE, "DIR is not empty, or encrypted already"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "the daemon does not answer, or made another encrypted tree meanwhile"],
    [ExitCode.DENIED, "no permission; others can read the key file; a read-only mount; the vault is locked"],
  ],
  run: async (invocation) => (await import("../run/encryption.ts")).runEncrypt(invocation),
})
