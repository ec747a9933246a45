/** The attacks of hostile.c that must be held as they are made, with what each of them goes for. */
import { chmodSync, copyFileSync, mkdirSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { join } from "node:path"
import { expect } from "vitest"
import type { ToolEvent } from "../../schema/tool-event.ts"
import { run, type Finished } from "../helpers/exec.ts"
import type { Mount } from "../helpers/mount.ts"
import { controlOf, eventsOf } from "./events.ts"
import { hostileProgram, installTool, untilToolsRun } from "./tools.ts"

/** What attacks find: made before, so that what fails does not fail for want of a target. */
export interface Ground {
  readonly mountpoint: string
  readonly store: string
  /** What the tool may write. */
  readonly own: string
  /** A file of a workspace that is not the tool's. */
  readonly note: string
  /** Where this process listens, in the host's network. */
  readonly port: number
  /** The name of the runner's socket, in the host's abstract namespace. */
  readonly socket: string
}

/** As the specification has it, and sandboxes. */
export const specified = (path: string, { mountpoint }: Pick<Ground, "mountpoint">): string =>
  path.replace(mountpoint, "/clawfs")

export const socketName = (device: number | string): string => `clawfs-tools/${device}`

export const ATTACKS: readonly (readonly [attack: string, argument?: (ground: Ground) => string])[] = [
  ["read", () => "/etc/shadow"],
  ["read", () => "/root/.ssh/id_ed25519"],
  ["read", ({ note }) => note],
  ["read", (ground) => specified(ground.note, ground)],
  ["read", ({ own }) => join(own, "..", "other", "note")],
  ["read", ({ own }) => join(own, "disk")],
  ["list", ({ mountpoint }) => join(mountpoint, "vault")],
  ["list", ({ store }) => store],
  ["list", () => "/home"],
  ["list", () => "/sys/fs/cgroup"],
  ["read", () => "/proc/1/root/etc/shadow"],
  ["read", () => `/proc/${process.pid}/environ`],
  ["read", () => "/proc/keys"],
  ["read", () => "/proc/kcore"],
  ["read", () => "/dev/vda"],
  ["read", () => "/dev/fuse"],
  ["write", () => "/proc/sys/kernel/core_pattern"],
  ["write", () => "/proc/sysrq-trigger"],
  ["write", () => "/usr/bin/new"],
  ["write", () => "/new"],
  ["write", () => "/dev/new"],
  ["write", () => "/run/tool/hostile"],
  ["overwrite-self"],
  ["first-memory"],
  ["by-handle"],
  ["link-out", ({ own }) => own],
  ["become-root"],
  ["run-setuid", ({ own }) => join(own, "setuid")],
  ["device"],
  ["new-user"],
  ["new-user-by-clone"],
  ["new-user-by-clone3"],
  ["enter-namespace"],
  ["mount"],
  ["bind-over"],
  ["mount-new-way"],
  ["unmount"],
  ["change-root"],
  ["trace"],
  ["other-memory"],
  ["keyring"],
  ["key"],
  ["ask-key"],
  ["uring"],
  ["bpf"],
  ["perf"],
  ["faults"],
  ["type-into-terminal"],
  ["type-with-high-bits"],
  ["paste"],
  ["raw-socket"],
  ["packet-socket"],
  ["netlink-socket"],
  ["vsock"],
  ["tcp", ({ port }) => String(port)],
  ["tcp6", ({ port }) => String(port)],
  ["mptcp", ({ port }) => String(port)],
  ["internet"],
  ["dns"],
  ["from-5432"],
  ["abstract-socket", ({ socket }) => socket],
  ["other-architecture"],
  ["at-once"],
  ["descriptors"],
]

/** They look and try nothing: there is nothing to be told. */
const SILENT: ReadonlySet<string> = new Set(["descriptors"])

/** A listener on every address of the host. */
export async function listening(): Promise<{ readonly port: number; readonly close: () => void }> {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => void server.listen(0, "::", resolve))
  return { port: (server.address() as { port: number }).port, close: () => server.close() }
}

/** Makes the targets on a mount, and installs the tool "hostile". */
export async function prepareGround(mount: Mount, port: number): Promise<Ground> {
  const { mountpoint, store, work } = mount
  const [own, other] = [join(work, "own"), join(work, "other")]
  for (const path of [own, other]) mkdirSync(path)
  chmodSync(own, 0o777)
  const note = join(other, "note")
  writeFileSync(note, "not for the tool")
  const setuid = join(own, "setuid")
  copyFileSync(await hostileProgram(mount), setuid)
  chmodSync(setuid, 0o4755)
  await run("mknod", ["-m", "0666", join(own, "disk"), "b", "254", "0"])
  const ground = { mountpoint, store, own, note, port, socket: socketName(statSync(mountpoint).dev) }
  await installHostile(mount, "hostile", ground)
  await untilToolsRun(mount, "hostile", "identity")
  return ground
}

/** `more`: of the manifest. */
export async function installHostile(
  mount: Mount,
  name: string,
  ground: Ground,
  more: object = {},
): Promise<void> {
  const capabilities = ["process:spawn", `filesystem:write:${specified(ground.own, ground)}`]
  const path = await hostileProgram(mount)
  await installTool(mount, { tool_id: name, capabilities, ...more }, { path })
}

/** The attack itself says that it was held; a daemon that fails would say so on stderr. */
export function expectHeld(what: string, { code, stdout, stderr }: Finished): void {
  expect([what, code, stdout, stderr]).toEqual([what, 0, expect.not.stringContaining("ESCAPED"), ""])
}

/** What a run has tried and not got, a word for each event. An abstract socket is told by the LSM's hook before the outcome is known. */
export function triedIn(events: readonly ToolEvent[], id: string): string[] {
  const isAbstract = ({ file }: ToolEvent): boolean => file?.path.startsWith("@") === true
  return events
    .filter(({ run }) => run === id)
    .filter((each) => (each.error ?? each.process?.signal ?? each.anomaly) !== undefined || isAbstract(each))
    .map(({ file, network, call, process }) =>
      file === undefined ? (network?.address ?? call ?? `signal ${process?.signal ?? ""}`) : file.path,
    )
}

/** Every attack by the tool "hostile" has left an event that names its run. */
export async function expectTold(
  mount: Mount,
  runs: readonly (readonly [attack: string, run: string])[],
): Promise<void> {
  const events = await eventsOf(mount, "--tool", "hostile")
  const untold = runs.filter(([attack, id]) => !SILENT.has(attack) && triedIn(events, id).length === 0)
  expect(untold).toEqual([])
  expect(runs.length).toBe(ATTACKS.length)
  const of = (attack: string): string[] => triedIn(events, runs.find(([name]) => name === attack)?.[1] ?? "")
  expect(of("mount")).toContain("mount")
  // AppArmor refuses the very socket.
  const isConfined = (await controlOf(mount, "apparmor")).state === "enforced"
  expect(of("internet")).toContain(isConfined ? "socket" : "1.1.1.1")
  expect(of("read")).toContain("/etc/shadow")
  // Each of the six processes, whatever had to be ready for that.
  expect(of("at-once").filter((path) => path === "/etc/shadow")).toHaveLength(6)
}
