/** `clawfs keys`: show and change what opens encrypted trees. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  add: { type: "boolean", help: "add a slot: one more key file or passphrase" },
  remove: { type: "string", value: "SLOT", help: "remove a slot, but never the last one" },
  "key-file": { type: "string", value: "FILE", help: "a key file that opens the tree now; for --add" },
  "passphrase-file": { type: "string", value: "FILE", help: "a file whose one line is the passphrase" },
  "passphrase-fd": { type: "string", value: "N", help: "read the passphrase from descriptor N" },
  vault: { type: "boolean", help: "by what the vault keeps for it" },
  "new-key-file": { type: "string", value: "FILE", help: "the new secret is a key file" },
  "new-passphrase-file": { type: "string", value: "FILE", help: "the new secret is a file's one line" },
  "new-passphrase-fd": { type: "string", value: "N", help: "the new secret comes from descriptor N" },
  "new-vault": { type: "boolean", help: "the new secret is made and kept by the vault" },
  kdf: {
    type: "string",
    value: "NAME",
    completes: ["argon2id", "pbkdf2"],
    help: "how a new passphrase becomes a key: argon2id (where libsodium is installed) or pbkdf2",
  },
  json: { type: "boolean", help: "print one JSON object" },
} as const

export type KeysInvocation = Invocation<typeof options>

export const keys = command({
  name: "keys",
  summary: "show and change what opens encrypted trees",
  usage: "[options] DIR",
  description: `
Shows the encrypted tree DIR, or for a mount point all trees of the mount: whether they are locked, and
their slots. Each slot is a key file, a passphrase or a secret of the vault that opens the tree. With
--add a slot is added: first what opens the tree now, then the new secret; without options both
are asked for.`,
  operands: [{ name: "DIR", completes: "directory" }],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs keys /clawfs
clawfs keys --add --key-file ~/.keys/alice --new-key-file ~/.keys/backup /clawfs/agents/alice
clawfs keys --remove 1 /clawfs/agents/alice`,
    },
  ],
  exits: [
    [ExitCode.OK, "done"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "DIR is not a directory on a ClawFS mount; the last slot; the secret does not do"],
    [ExitCode.MISSING, "DIR is not the top of an encrypted tree; there is no such slot or key file"],
    [ExitCode.UNAVAILABLE, "this machine has no argon2id"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "the daemon does not answer, or the slots were changed meanwhile"],
    [ExitCode.DENIED, "the key file or passphrase is a wrong one; others can read it; no permission"],
  ],
  run: async (invocation) => (await import("../run/encryption.ts")).runKeys(invocation),
})
