/** `clawfs rekey`: give an encrypted tree a new key. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  "key-file": { type: "string", value: "FILE", help: "a key file that opens the tree now" },
  "passphrase-file": { type: "string", value: "FILE", help: "a file whose one line is the passphrase" },
  "passphrase-fd": { type: "string", value: "N", help: "read the passphrase from descriptor N" },
  vault: { type: "boolean", help: "by what the vault keeps for it" },
  "new-key-file": { type: "string", value: "FILE", help: "the new secret is a key file" },
  "new-passphrase-file": { type: "string", value: "FILE", help: "the new secret is a file's one line" },
  "new-passphrase-fd": { type: "string", value: "N", help: "the new secret comes from descriptor N" },
  "new-passphrase": { type: "boolean", help: "ask for a new passphrase" },
  "new-vault": { type: "boolean", help: "the new secret is made and kept by the vault" },
  kdf: {
    type: "string",
    value: "NAME",
    completes: ["argon2id", "pbkdf2"],
    help: "how a new passphrase becomes a key: argon2id (where libsodium is installed) or pbkdf2",
  },
  "drop-slots": { type: "boolean", help: "all other slots go" },
} as const

export type RekeyInvocation = Invocation<typeof options>

export const rekey = command({
  name: "rekey",
  summary: "give an encrypted tree a new key",
  usage: "[options] DIR",
  description: `
Replaces the key of the unlocked tree DIR. It is in force at once; the keys of the files, which it wraps,
are wrapped anew in the background (clawfs keys shows how far that is). A kill or a power cut does no
harm: the work goes on when the tree is unlocked. Contents stay as they are, under the keys that their
files have: who knew the old key and has an old copy of the store can read what was in it then.

The secret stays the same unless a new one is given; the vault (--vault) makes a new one each time. A
tree with several slots keeps one.`,
  operands: [{ name: "DIR", completes: "directory" }],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs rekey --key-file ~/.keys/alice /clawfs/agents/alice
clawfs rekey --new-passphrase /clawfs/agents/alice`,
    },
  ],
  exits: [
    [ExitCode.OK, "done"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "DIR is not a directory on a ClawFS mount; several slots without --drop-slots"],
    [ExitCode.MISSING, "DIR is not the top of an encrypted tree; there is no such key file"],
    [ExitCode.UNAVAILABLE, "this machine has no argon2id"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "it is being re-keyed already; the daemon does not answer"],
    [ExitCode.DENIED, "locked; the key file or passphrase is a wrong one; others can read it; no permission"],
  ],
  run: async (invocation) => (await import("../run/encryption.ts")).runRekey(invocation),
})
