/**
 * crun as a peer. It refuses machines that have control groups of both versions ("hybrid"); there it is run where it sees
 * version 2 alone: in a mount namespace of its own, which costs nsenter(1) before each time.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

export interface Crun extends Disposable {
  readonly name: string
  /** How it starts the program. */
  readonly argv: readonly string[]
  /** What stands before crun's own words; empty as a rule. */
  readonly through: readonly string[]
}

const VERSION_2_ALONE =
  "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && echo ready && exec sleep infinity"

/** What it is, with a bundle in `directory` that has the machine's /usr; or why it can't be measured. */
export async function prepareCrun(directory: string, program: string): Promise<Crun | string> {
  const bundle = join(directory, "bundle")
  mkdirSync(join(bundle, "rootfs"), { recursive: true })
  const spec = spawnSync("crun", ["spec"], { cwd: bundle, encoding: "utf8" })
  if (spec.error !== undefined) return "crun is not installed"
  const config = JSON.parse(readFileSync(join(bundle, "config.json"), "utf8")) as {
    process: object
    mounts: object[]
  }
  Object.assign(config.process, { terminal: false, args: [program], cwd: "/" })
  for (const path of ["/usr", "/lib", "/lib64"])
    config.mounts.push({ destination: path, source: path, type: "bind", options: ["rbind", "ro"] })
  writeFileSync(join(bundle, "config.json"), JSON.stringify(config))
  const options = ["--root", join(directory, "crun"), "--cgroup-manager", "disabled"]
  const argv = ["crun", ...options, "run", "-b", bundle, `clawfs-bench-${process.pid}`]
  const failure = attempt(argv)
  if (failure === undefined)
    return { name: "crun, without cgroups", argv, through: [], [Symbol.dispose]: () => undefined }
  return failure.includes("hybrid") ? await apart(argv) : `crun: ${failure}`
}

async function apart(own: readonly string[]): Promise<Crun | string> {
  const holder = spawn("unshare", ["--mount", "--propagation", "private", "sh", "-c", VERSION_2_ALONE], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  await Promise.race([once(holder.stdout, "data"), once(holder, "exit")])
  const through = ["nsenter", `--mount=/proc/${holder.pid ?? 0}/ns/mnt`]
  const argv = [...through, ...own]
  const failure = attempt(argv)
  if (failure === undefined)
    return { name: "crun, without cgroups (nsenter)", argv, through, [Symbol.dispose]: () => end(holder) }
  end(holder)
  return `crun: ${failure}`
}

function end(holder: ChildProcess): void {
  holder.kill("SIGKILL")
}

/** What it says when it can't. */
function attempt([program = "", ...args]: readonly string[]): string | undefined {
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" })
  return status === 0 ? undefined : stderr.trim()
}
