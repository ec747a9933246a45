/** `clawfs mount`: a supervisor that keeps a store mounted. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

export const LEVELS = ["debug", "info", "warn", "error"] as const

const options = {
  foreground: {
    type: "boolean",
    short: "f",
    help: "stay in the foreground; log to stderr, SIGTERM and Ctrl-C unmount",
  },
  "read-only": { type: "boolean", help: "nothing can be changed" },
  nonempty: { type: "boolean", help: "mount over a directory that has entries" },
  "allow-other": {
    type: "boolean",
    help: "let other users in; always so for root, others need user_allow_other in /etc/fuse.conf",
  },
  private: { type: "boolean", help: "as root: let nobody else in" },
  writeback: {
    type: "boolean",
    help: "keep dirty pages in the kernel; small appends get much faster, but a change reaches the store only seconds later or at close, and a full disk shows only then",
  },
  "open-checks": {
    type: "boolean",
    help: "ask the server at every open; immutable and append-only files are then refused at open instead of at the first write, and opening gets slower",
  },
  "power-save": {
    type: "boolean",
    help: "as root: let idle CPUs sleep while requests come in; by default they are kept awake then, which makes every operation faster",
  },
  "key-file": { type: "string", value: "FILE", help: "unlock the encrypted trees that this key file opens" },
  "passphrase-file": {
    type: "string",
    value: "FILE",
    help: "unlock those that a passphrase opens, the one line of this file",
  },
  "passphrase-fd": {
    type: "string",
    value: "N",
    help: "unlock those that a passphrase opens, read from descriptor N",
  },
  vault: { type: "boolean", help: "unlock those that the vault opens" },
  "no-index": { type: "boolean", help: "leave the search index as it is; clawfs search finds nothing" },
  suid: { type: "boolean", help: "as root: let setuid bits on the mount have their effect" },
  dev: { type: "boolean", help: "as root: let device nodes on the mount have their effect" },
  noexec: { type: "boolean", help: "no program on the mount can be run" },
  flush: {
    type: "string",
    value: "SECONDS",
    help: "how long an acknowledged change may wait for the disk; default 5, fsync never waits",
  },
  "scrub-days": {
    type: "string",
    value: "DAYS",
    help: "read the whole store through every so many days, slowly (clawfs scrub); default 30, 0 for never",
  },
  log: {
    type: "string",
    value: "LEVEL",
    completes: LEVELS,
    help: "debug, info, warn or error; default info",
  },
} as const

export type MountInvocation = Invocation<typeof options>

export const mount = command({
  name: "mount",
  summary: "mount a store",
  usage: "[options] STORE MOUNTPOINT",
  description: `
Mounts the store on the directory MOUNTPOINT and returns when it is usable. A supervisor stays in the
background: it restarts the server if that dies, without any program on the mount noticing more than a
short stall (Linux 6.9 or newer; before, programs that were waiting for an answer get EIO).

Root mounts by itself. Anybody else needs the program fusermount3 and write permission on MOUNTPOINT,
and only that user, not even root, can enter the mount, unless --allow-other is given.

A dead ClawFS mount on MOUNTPOINT, whose supervisor was killed, is replaced.

Encrypted trees are locked after a mount, unless --key-file, --passphrase-file, --passphrase-fd or
--vault opens them. One of these is needed where supervisor and server were killed at once while
programs changed an encrypted tree: what was answered and not committed is sealed with its key.`,
  operands: [
    { name: "STORE", completes: "directory" },
    { name: "MOUNTPOINT", completes: "directory" },
  ],
  options,
  sections: [
    {
      title: "files",
      text: `
STORE/clawfs.log        what supervisor and server log, one JSON object a line
STORE/lock              held while the store is mounted; names the process
STORE/supervisor.json   who serves the store, and since when
STORE/control.sock      where the server listens for clawfs status and unmount`,
    },
    {
      title: "examples",
      text: `
clawfs mount ~/agents.store ~/agents
clawfs mount --foreground --log debug /var/lib/clawfs /clawfs`,
    },
  ],
  exits: [
    [ExitCode.OK, "the mount is usable; with --foreground: it was unmounted"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "STORE is no store or damaged; MOUNTPOINT is no directory or lies in STORE"],
    [ExitCode.MISSING, "STORE or MOUNTPOINT does not exist"],
    [ExitCode.UNAVAILABLE, "no FUSE on this machine, or a store of a newer version"],
    [ExitCode.CANNOT_CREATE, "MOUNTPOINT is not empty"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "STORE or MOUNTPOINT is in use"],
    [
      ExitCode.DENIED,
      "no permission; the key file or passphrase opens no tree; answered requests wait for a tree's key",
    ],
  ],
  run: async (invocation) => (await import("../run/mount.ts")).runMount(invocation),
})
