/** `clawfs identity`: what agents are, as files that can be checked and come back. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  mount: {
    type: "string",
    value: "DIRECTORY",
    completes: "directory",
    help: "which ClawFS; default: that of the current directory, or the only one",
  },
  from: { type: "string", value: "BACKUP", help: "restore: this backup, not the newest" },
  json: { type: "boolean", help: "print JSON" },
} as const

export type IdentityInvocation = Invocation<typeof options>

export const IDENTITY_ACTIONS = ["show", "verify", "restore"] as const

export const identity = command({
  name: "identity",
  summary: "check the identity files of agents, and bring them back",
  usage: "show AGENT | verify [AGENT] | restore AGENT [--from BACKUP]",
  description: `
An agent's identity is MOUNTPOINT/agents/AGENT/identity.json: its state, what it has learned and what it
has done, with a checksum over all of it. schema/identity.schema.json is its schema. Backups are in the
directory backups beside it: one every six hours, at most thirty, and the one before the last change.

show prints an identity whose checksum fits. verify checks it and its backups; without AGENT, those of
all agents that have one. restore puts the newest backup in its place that is whole, or the one named;
what was there is kept among the backups.`,
  operands: [
    { name: "ACTION", completes: IDENTITY_ACTIONS },
    { name: "AGENT", completes: [], optional: true },
  ],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs identity verify
clawfs identity show --json core-dev-agent | jq .state.status
clawfs identity restore core-dev-agent --from identity-20261121T060000Z.json`,
    },
  ],
  exits: [
    [ExitCode.OK, "done; verify: all are whole"],
    [ExitCode.NO, "verify: one is damaged or missing"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "show: it is damaged, or another agent's; restore: BACKUP is"],
    [ExitCode.MISSING, "no such agent, identity or backup, or no ClawFS"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.DENIED, "no permission, or mounted read-only"],
  ],
  run: async (invocation) => (await import("../run/identity.ts")).runIdentity(invocation),
})
