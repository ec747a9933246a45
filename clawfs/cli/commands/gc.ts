/** `clawfs gc`: what deleted and overwritten data still takes, and giving it back now. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  now: { type: "boolean", help: "give back what pays, and wait until that is done" },
  json: { type: "boolean", help: "print one JSON object" },
} as const

export type GcInvocation = Invocation<typeof options>

export const gc = command({
  name: "gc",
  summary: "give back what deleted data still takes",
  usage: "[--now] [--json] MOUNTPOINT",
  description: `
Files above 16 KiB lie in a log whose parts are never overwritten. What is deleted or overwritten leaves
dead bytes there. The daemon gives them back by itself when more than 64 MiB and a quarter of the live
bytes are dead, while nobody uses the mount; this command says how many there are and, with --now, makes
the daemon give back all that pays. It can be interrupted at any time: what was given back stays so, and
the daemon goes on.`,
  operands: [{ name: "MOUNTPOINT", completes: "directory" }],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs gc /clawfs
clawfs gc --now /clawfs`,
    },
  ],
  exits: [
    [ExitCode.OK, "done"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.MISSING, "no ClawFS is mounted there"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "the daemon does not answer"],
    [ExitCode.DENIED, "no permission, or mounted read-only"],
  ],
  run: async (invocation) => (await import("../run/gc.ts")).runGc(invocation),
})
