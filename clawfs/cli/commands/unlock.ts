/** `clawfs unlock`: open an encrypted tree. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  "key-file": { type: "string", value: "FILE", help: "a key file" },
  "passphrase-file": { type: "string", value: "FILE", help: "a file whose one line is the passphrase" },
  "passphrase-fd": { type: "string", value: "N", help: "read the passphrase from descriptor N" },
  vault: { type: "boolean", help: "by what the vault keeps for it" },
} as const

export type UnlockInvocation = Invocation<typeof options>

export const unlock = command({
  name: "unlock",
  summary: "open an encrypted tree",
  usage: "[options] DIR",
  description: `
Opens the encrypted tree DIR by a key file or a passphrase; without an option a passphrase is asked for.
It stays open, for everybody whom the modes of its files let in, until clawfs lock or the end of the
mount. A killed server changes nothing: the kernel keeps the key for the next one. A tree that the vault
opens (clawfs encrypt --vault) is unlocked and locked with the vault; --vault does it at once.`,
  operands: [{ name: "DIR", completes: "directory" }],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs unlock /clawfs/agents/alice
clawfs unlock --key-file ~/.keys/alice /clawfs/agents/alice`,
    },
  ],
  exits: [
    [ExitCode.OK, "done"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "DIR is not a directory on a ClawFS mount; the key file or passphrase does not do"],
    [ExitCode.MISSING, "DIR is not the top of an encrypted tree; there is no such key file"],
    [ExitCode.UNAVAILABLE, "this machine has no argon2id"],
    [ExitCode.BUSY, "the daemon does not answer"],
    [
      ExitCode.DENIED,
      "the key file or passphrase is a wrong one; others can read it; no permission; the vault is locked",
    ],
  ],
  run: async (invocation) => (await import("../run/encryption.ts")).runUnlock(invocation),
})
