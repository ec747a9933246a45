/** `clawfs unmount`: takes a mount away. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  lazy: {
    type: "boolean",
    help: "detach now, even if programs still use the mount; the daemon ends when the last of them has left",
  },
} as const

export type UnmountInvocation = Invocation<typeof options>

export const unmount = command({
  name: "unmount",
  summary: "unmount and end the daemon",
  usage: "[--lazy] MOUNTPOINT",
  description: `
Writes everything to the disk, unmounts, and returns when the daemon has ended. A dead mount, whose
supervisor was killed, is taken away too.`,
  operands: [{ name: "MOUNTPOINT", completes: "mountpoint" }],
  options,
  exits: [
    [ExitCode.OK, "unmounted"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.MISSING, "no ClawFS is mounted there"],
    [ExitCode.UNAVAILABLE, "fusermount3 is missing"],
    [ExitCode.IO, "the disk is full or fails: the mount stays"],
    [
      ExitCode.BUSY,
      "programs use the mount, or the daemon does not answer: the mount stays; or it did not end",
    ],
    [ExitCode.DENIED, "no permission"],
  ],
  run: async (invocation) => (await import("../run/unmount.ts")).runUnmount(invocation),
})
