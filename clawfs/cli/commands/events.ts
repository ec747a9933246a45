/** `clawfs events`: what tools did and tried. */
import { TOOL_EVENT_TYPES } from "../../../schema/events.ts"
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  follow: { type: "boolean", short: "f", help: "wait for what comes, until interrupted" },
  type: {
    type: "string",
    value: "TYPE,…",
    completes: TOOL_EVENT_TYPES,
    help: "only these types",
  },
  tool: { type: "string", value: "NAME", help: "only this tool" },
  run: { type: "string", value: "ID", help: "only this execution" },
  since: { type: "string", value: "TIME", help: "only what is newer; a date, or 30s, 5m, 2h, 7d ago" },
  json: { type: "boolean", help: "print one JSON object a line" },
  audit: { type: "boolean", help: "print lines of P1.4's audit log: time, level, agent=, operation=, …" },
} as const

export type EventsInvocation = Invocation<typeof options>

export const events = command({
  name: "events",
  summary: "show what tools did and tried",
  usage: "[-f] [--type TYPE,…] [--tool NAME] [--run ID] [--json | --audit] [DIRECTORY]",
  description: `
Shows what the kernel saw tools do in their sandboxes: programs they started, files they opened,
connections, and what was refused to them, each with the execution, the tool, the process and the layer
that refused. The log is bounded: the newest 32 MiB or so are kept. It is written where an eBPF program
can be loaded (clawfs sandbox status: ebpf). docs/EVENTS.md describes the events.`,
  operands: [{ name: "DIRECTORY", completes: "directory", optional: true }],
  options,
  sections: [
    {
      title: "types",
      text: `
POLICY_VIOLATION    something was refused
SYSCALL_ANOMALY     a rule found something worth a look
THRESHOLD_EXCEEDED  a limit is near
FILE_ACCESS         a file was opened, made, renamed or deleted, or was not found
NETWORK_ACCESS      a connection, a datagram, or an address that was bound
PROCESS_START       a process or a program was started
PROCESS_EXIT        a process ended
SYSTEM_CALL         another call that is told: privileged ones, and refusals that are no refusal`,
    },
    {
      title: "examples",
      text: `
clawfs events --follow --type POLICY_VIOLATION,SYSCALL_ANOMALY
clawfs events --tool grep-notes --since 1h --json | jq .file.path
clawfs events --follow --audit >> /var/log/clawos/clawfs-audit.log`,
    },
  ],
  exits: [
    [ExitCode.OK, "done"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.MISSING, "no such directory, or no ClawFS"],
    [ExitCode.BUSY, "the daemon does not answer"],
    [ExitCode.DENIED, "no permission"],
  ],
  run: async (invocation) => (await import("../run/events.ts")).runEvents(invocation),
})
