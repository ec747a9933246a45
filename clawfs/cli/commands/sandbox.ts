/** `clawfs sandbox`: what keeps tools in. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  json: { type: "boolean", help: "print JSON" },
} as const

export type SandboxInvocation = Invocation<typeof options>

export const ACTIONS = ["status"] as const

export const sandbox = command({
  name: "sandbox",
  summary: "show what keeps tools in on this machine",
  usage: "status [--json] [DIRECTORY]",
  description: `
Shows for each thing that keeps a tool in its sandbox whether it is enforced, degraded or absent, why,
and what would help. It is found out by trying: a sandbox is started when the daemon begins to run
tools. What "required" in MOUNTPOINT/system/sandbox.json names must be enforced, or no tool runs.`,
  operands: [
    { name: "ACTION", completes: ACTIONS },
    { name: "DIRECTORY", completes: "directory", optional: true },
  ],
  options,
  sections: [
    {
      title: "--json",
      text: `
{"controls":[{"name":…,"state":…,"detail":…,"hint":…}],"lacking":[…],"running":…}; lacking are those
that are required and not enforced, running is how many tools run now.`,
    },
  ],
  exits: [
    [ExitCode.OK, "what is required is enforced"],
    [ExitCode.NO, "it is not: no tool runs"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "system/sandbox.json can't be understood"],
    [ExitCode.MISSING, "no such directory, or no ClawFS"],
    [ExitCode.BUSY, "the daemon does not answer"],
    [ExitCode.DENIED, "no permission"],
  ],
  run: async (invocation) => (await import("../run/sandbox.ts")).runSandbox(invocation),
})
