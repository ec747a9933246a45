/** `clawfs doctor`: what this machine can do, and what to do about the rest. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  json: { type: "boolean", help: "one JSON object instead of lines" },
} as const

export type DoctorInvocation = Invocation<typeof options>

export const doctor = command({
  name: "doctor",
  summary: "say what this machine can and cannot do",
  usage: "[--json] [STORE]",
  description: `
Looks at the kernel, FUSE, Node.js, the native modules, limits and accounts of this machine, as the
user who runs it, and with STORE at that store and its disk too. Every check is a real look at the
thing; nothing is changed. A line that is not ok is followed by a hint what to do:

  ok     works
  warn   mounting works, but something else is missing or wrong
  fail   mounting does not work`,
  operands: [{ name: "STORE", optional: true, completes: "directory" }],
  options,
  exits: [
    [ExitCode.OK, "mounting will work for this user (and for STORE, if given)"],
    [ExitCode.NO, "it will not"],
    [ExitCode.USAGE, "wrong usage"],
  ],
  run: async (invocation) => (await import("../run/doctor.ts")).runDoctor(invocation),
})
