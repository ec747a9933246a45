/** `clawfs seccomp`: lists of system calls. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  output: {
    type: "string",
    short: "o",
    value: "FILE",
    help: "compile, profile: where it goes; - is stdout",
  },
  mount: {
    type: "string",
    value: "DIRECTORY",
    completes: "directory",
    help: "profile: which ClawFS; default: that of the current directory, or the only one",
  },
  json: { type: "boolean", help: "check: print JSON" },
} as const

export type SeccompInvocation = Invocation<typeof options>

export const ACTIONS = ["check", "compile", "print", "profile"] as const

export const seccomp = command({
  name: "seccomp",
  summary: "check and compile lists of allowed system calls",
  usage: "check LIST | compile LIST -o FILE | print NAME | profile -o FILE TOOL [WORD…]",
  description: `
A LIST is JSON after the ClawOS specification (P1.2): system calls by name, each ALLOW, DENY or
CONDITIONAL on an argument. check says what is wrong with one: what no program can do without, what
leads out of a sandbox, what this machine does not know, what a filter can't see. compile makes the
program that the kernel runs (struct sock_filter, for seccomp(2) or bwrap --seccomp), by the system's
libseccomp. Calls that are not named get EPERM. print shows the lists that there are: tool, or with
the capability process:spawn tool-spawn; launcher, for the programs in tools/bin; daemon, for all that
serves a mount; extractor, for what search reads documents with. profile runs an installed TOOL in its
sandbox under strace, with what it writes on stderr, and puts what it has called of its list into a
LIST of its own. That is what it did this once: what it did not come to, such as an error, may need
more.`,
  operands: [
    { name: "ACTION", completes: ACTIONS },
    { name: "LIST", completes: "directory" },
  ],
  ownOperands: (first) => (first === "profile" ? 2 : undefined),
  options,
  exits: [
    [ExitCode.OK, "done; check: nothing is wrong (warnings don't count)"],
    [ExitCode.NO, "check: something is wrong"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "LIST is no list of system calls, or its rules contradict each other"],
    [ExitCode.MISSING, "there is no LIST, TOOL or ClawFS"],
    [ExitCode.UNAVAILABLE, "libseccomp, or for profile strace or bubblewrap, is not installed"],
    [ExitCode.IO, "FILE can't be written"],
    [ExitCode.DENIED, "no permission"],
  ],
  run: async (invocation) => (await import("../run/seccomp.ts")).runSeccomp(invocation),
})
