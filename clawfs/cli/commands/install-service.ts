/** `clawfs install-service`: a systemd unit that keeps a store mounted. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  store: {
    type: "string",
    value: "DIR",
    completes: "directory",
    help: "the store; default /var/lib/clawfs, with --user ~/.local/share/clawfs",
  },
  mountpoint: {
    type: "string",
    value: "DIR",
    completes: "directory",
    help: "where to mount it; default /clawfs, with --user ~/clawfs",
  },
  name: { type: "string", value: "NAME", help: "the unit is called NAME.service; default clawfs" },
  user: { type: "boolean", help: "a unit of your own, without root" },
  print: { type: "boolean", help: "show the unit; write nothing" },
  force: { type: "boolean", help: "replace a unit file that differs" },
} as const

export type InstallServiceInvocation = Invocation<typeof options>

export const installService = command({
  name: "install-service",
  summary: "write a systemd unit that keeps a store mounted",
  usage: "[options]",
  description: `
Writes a systemd unit that runs "clawfs mount --foreground" on the store, restarts it if it fails, and
unmounts it at shutdown; then says which commands come next. Nothing is started.

The unit counts as started when the mount is usable: a service that needs it says
After=clawfs.service and Requires=clawfs.service.

The unit names this Node.js and this copy of clawfs by their full paths: write it again when one of
them has moved.`,
  operands: [],
  options,
  sections: [
    {
      title: "files",
      text: `
/etc/systemd/system/NAME.service
~/.config/systemd/user/NAME.service   with --user; $XDG_CONFIG_HOME takes the place of ~/.config`,
    },
    {
      title: "examples",
      text: `
clawfs install-service --print
clawfs install-service --user --store ~/agents.store --mountpoint ~/agents`,
    },
  ],
  exits: [
    [ExitCode.OK, "the unit is in place"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.CANNOT_CREATE, "there is another unit of that name"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.DENIED, "no permission to write it"],
  ],
  run: async (invocation) => (await import("../run/install-service.ts")).runInstallService(invocation),
})
