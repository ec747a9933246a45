/** The text of a systemd unit that keeps a store mounted: systemd.unit(5), systemd.exec(5), systemd.kill(5). */
import { dirname } from "node:path"

export interface Service {
  readonly kind: "system" | "user"
  readonly store: string
  readonly mountpoint: string
  /** Node.js and `main.js`, with their full paths: a unit has no PATH worth the name. */
  readonly node: string
  readonly program: string
}

/** Exit statuses that another try does not change: wrong usage, no store, no FUSE, no permission, a taken place. */
const HOPELESS = "64 65 66 69 73 77"
const START_SECONDS = 60

export function unitText(service: Service): string {
  const { kind, store, mountpoint, node, program } = service
  const clawfs = `${quoted(node)} ${argument(program)}`
  return `# Written by clawfs install-service, which also writes it again when a path in it has changed.

[Unit]
Description=${described(`ClawFS on ${mountpoint}`)}
${kind === "system" ? "After=local-fs.target\n" : ""}RequiresMountsFor=${quoted(store)} ${quoted(dirname(mountpoint))}

[Service]
# The main process starts the supervisor and passes SIGTERM on to it, which unmounts. Programs still inside are no
# obstacle: the mount is then detached.
Type=exec
ExecStart=${clawfs} mount --foreground ${argument(store)} ${argument(mountpoint)}
# The unit counts as started when the mount is usable.
ExecStartPost=${clawfs} status --wait ${START_SECONDS} ${argument(mountpoint)}
KillMode=mixed
TimeoutStartSec=${START_SECONDS + 30}
# What was acknowledged is flushed first; a slow disk needs time.
TimeoutStopSec=90
Restart=on-failure
RestartSec=2
RestartPreventExitStatus=${HOPELESS}

UMask=0077
LimitNOFILE=65536
LimitCORE=0

${kind === "system" ? SYSTEM_HARDENING : USER_HARDENING}
[Install]
WantedBy=${kind === "system" ? "multi-user.target" : "default.target"}
`
}

/** Every setting that gives the unit a mount namespace of its own would hide the mount from everybody else. */
const NO_NAMESPACE = `# Deliberately without ProtectSystem=, ProtectHome=, PrivateTmp=, PrivateDevices=, PrivateMounts=, ProtectKernel*=,
# ProtectControlGroups=, ProtectProc=, ReadWritePaths= and the like: each gives the unit a mount namespace whose mounts
# do not reach the host, and MountFlags=shared does not bring them back (systemd.exec(5), "MountFlags"). The mount would
# be there for this unit alone.
`

const SYSTEM_HARDENING = `${NO_NAMESPACE}#
# Without MemoryDenyWriteExecute= too: V8 compiles JavaScript into memory that it then executes.
NoNewPrivileges=yes
# Mounting; a store or mount point that is not root's; the serving thread goes before other work.
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_DAC_OVERRIDE CAP_SYS_NICE
DevicePolicy=closed
DeviceAllow=/dev/fuse rw
# Keeps idle CPUs awake while programs wait for answers.
DeviceAllow=/dev/cpu_dma_latency rw
RestrictAddressFamilies=AF_UNIX
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
# A killed server is replaced, but everything on the mount has to wait for that.
OOMScoreAdjust=-500
`

const USER_HARDENING = `${NO_NAMESPACE}#
# Nor can a user's unit have NoNewPrivileges=, RestrictAddressFamilies=, RestrictRealtime=, LockPersonality=,
# SystemCallArchitectures= and the like: without root each of them means NoNewPrivileges=, and with that fusermount3,
# which is setuid root, can't mount.
`

/** Free text: only % means something there, and a line ends it. */
function described(text: string): string {
  return text.replaceAll("%", "%%").replace(/[\n\r]/g, " ")
}

/** A word of an Exec line: systemd expands variables there too. */
function argument(word: string): string {
  return quoted(word).replaceAll("$", "$$$$")
}

/** A quoted word, as systemd.syntax(7) reads it back; % is a specifier everywhere. */
function quoted(word: string): string {
  return `"${escaped(word).replaceAll('"', '\\"')}"`
}

function escaped(text: string): string {
  return text
    .replaceAll("\\", "\\\\")
    .replaceAll("%", "%%")
    .replace(/[\n\r\t]/g, (found) => ({ "\n": "\\n", "\r": "\\r", "\t": "\\t" })[found] ?? found)
}
