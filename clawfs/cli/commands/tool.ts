/** `clawfs tool`: programs that run in a sandbox. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  mount: {
    type: "string",
    value: "DIRECTORY",
    completes: "directory",
    help: "which ClawFS; default: that of the current directory, or the only one",
  },
  yes: { type: "boolean", short: "y", help: "install: grant what reaches far, too" },
  use: { type: "string", value: "VERSION", help: "enable: run this version from now on" },
  keep: { type: "string", value: "N", help: "gc: keep so many versions besides the current one; default 2" },
  json: {
    type: "boolean",
    help: "list, show, verify: print JSON; run: what comes of it, as JSON",
  },
} as const

export type ToolInvocation = Invocation<typeof options>

export const ACTIONS = [
  ...["install", "list", "show", "run", "enable", "disable", "remove", "verify", "gc"],
] as const

export const tool = command({
  name: "tool",
  summary: "install programs, and run them in a sandbox",
  usage: "install SOURCE | run NAME [WORD…] | show|enable|disable|remove|verify NAME | list | gc",
  description: `
A tool is one file with a manifest. It is run by executing MOUNTPOINT/tools/bin/NAME, from any program,
or by clawfs tool run: in a sandbox of its own, with the caller's stdin, stdout, stderr and arguments,
as user 65534, without network unless granted, seeing the machine's /usr, a /tmp of its own, and what
its manifest grants. Memory, CPU, processes and time are limited. The exit status is the tool's.
docs/TOOLS.md has the manifest, what a sandbox holds and what not.

install takes a directory with a tool.json, or one program or script, which is granted nothing but,
to a script, starting other programs. The file is checked against the manifest, then it never changes:
each version has its own, its hash is compared before it runs. What reaches far needs --yes; the vault,
and writing into system, tools and specs, no tool gets.`,
  operands: [
    { name: "ACTION", completes: ACTIONS },
    { name: "NAME", completes: "directory", optional: true },
  ],
  ownOperands: (first) => (first === "run" ? 2 : undefined),
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs tool install ./grep-notes
/clawfs/tools/bin/grep-notes budget < notes.txt
clawfs tool enable grep-notes --use 1.0.0
clawfs tool verify`,
    },
    {
      title: "run",
      text: `
Its exit status is the tool's own, 128 and the signal's number when it was killed, 124 when its time
was over, 125 when the daemon failed, 126 when it may not run, 127 when there is no such tool.
With --json before NAME, one JSON object has stdout and stderr, up to 1 MiB each, the exit status, the
run's number and a code: 0 it ran, 1 try later, 2 the daemon is gone, 3 no such tool, 4 not allowed,
5 it was asked wrongly, 6 its time was over, 7 it could not be started.
Every execution leaves a record, MOUNTPOINT/system/runs/ID.json.`,
    },
  ],
  exits: [
    [ExitCode.OK, "done; verify: all is as it was installed"],
    [ExitCode.NO, "verify: something is not"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "the manifest or the program is wrong, or something installed is damaged"],
    [ExitCode.MISSING, "no such tool, version, file or ClawFS"],
    [ExitCode.UNAVAILABLE, "a capability that this version can't grant, or no launcher was built"],
    [ExitCode.CANNOT_CREATE, "that version is installed, with other contents"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "another command is changing the tools, or the daemon does not answer"],
    [ExitCode.DENIED, "no permission, mounted read-only, or it reaches far and --yes is missing"],
  ],
  run: async (invocation) => (await import("../run/tool.ts")).runTool(invocation),
})
