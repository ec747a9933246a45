/** `clawfs init`: a new store with the six directories of the specification. */
import { AGENTS_GROUP, TOOLS_OWNER, USERS_GROUP } from "../accounts.ts"
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  user: {
    type: "boolean",
    help: "everything belongs to you; the default when you are not root",
  },
  "agents-group": {
    type: "string",
    value: "GROUP",
    completes: "group",
    help: `group of agents and tools; name or number, default ${AGENTS_GROUP}`,
  },
  "users-group": {
    type: "string",
    value: "GROUP",
    completes: "group",
    help: `group of workspaces; name or number, default ${USERS_GROUP}`,
  },
  "tools-owner": {
    type: "string",
    value: "USER",
    completes: "user",
    help: `owner of tools; name or number, default ${TOOLS_OWNER}`,
  },
} as const

export type InitInvocation = Invocation<typeof options>

export const init = command({
  name: "init",
  summary: "make a new store",
  usage: "[options] STORE",
  description: `
Makes a new, empty store in the directory STORE, which must be missing or empty. The store holds
everything: clawfs backup copies it. It can't lie on a ClawFS mount or inside of another store.

The root of the filesystem gets the directories of the ClawOS specification:

  system      root:root                     0555
  agents      root:clawos-agents            0750
  tools       wasm-agent:clawos-agents      0755
  workspaces  root:clawos-users             0750
  vault       root:root                     0700
  specs       root:root                     0555

A user or group that this machine does not have is replaced by root, and a note says so. With --user
all of them, and the root itself, belong to you; then you can write in all but system and specs.`,
  operands: [{ name: "STORE", completes: "directory" }],
  options,
  sections: [
    {
      title: "examples",
      text: "clawfs init ~/agents.store            a store of your own\nclawfs init /var/lib/clawfs           as root: the store of the machine",
    },
  ],
  exits: [
    [ExitCode.OK, "the store is made"],
    [ExitCode.USAGE, "wrong usage"],
    [
      ExitCode.DATA,
      "STORE would lie on a ClawFS mount, in a store or a backup; there is no such user or group",
    ],
    [ExitCode.CANNOT_CREATE, "STORE is a file, a store, or not empty"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.DENIED, "no permission to write there, or a read-only filesystem"],
  ],
  run: async (invocation) => (await import("../run/init.ts")).runInit(invocation),
})
