/** `clawfs status`: what is mounted and how it fares. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  json: { type: "boolean", help: "one JSON object; without MOUNTPOINT an array of them" },
  wait: {
    type: "string",
    value: "SECONDS",
    help: "wait so long for MOUNTPOINT to be mounted and serving",
  },
} as const

export type StatusInvocation = Invocation<typeof options>

export const status = command({
  name: "status",
  summary: "show what a mount is doing",
  usage: "[--json] [--wait SECONDS] [MOUNTPOINT]",
  description: `
Shows what a mount is doing; without MOUNTPOINT, all ClawFS mounts of this machine. What a serving
mount shows is also in the file MOUNTPOINT/.status, as JSON.`,
  operands: [{ name: "MOUNTPOINT", optional: true, completes: "mountpoint" }],
  options,
  sections: [
    {
      title: "states",
      text: `
serving      all is well
starting     the first server is not ready yet
restarting   a server died, the next one is starting
failed       servers kept crashing, the mount answers EIO; see STORE/clawfs.log
hung         the server does not answer
dead         no daemon: clawfs mount replaces the mount, clawfs unmount takes it away
unknown      another user's mount that we may not ask`,
    },
  ],
  exits: [
    [ExitCode.OK, "every mount shown is serving (unknown ones don't count)"],
    [ExitCode.NO, "one is not, or nothing is mounted at all"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.MISSING, "no ClawFS is mounted on MOUNTPOINT"],
    [ExitCode.DENIED, "no permission to ask"],
  ],
  run: async (invocation) => (await import("../run/status.ts")).runStatus(invocation),
})
