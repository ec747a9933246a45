/** An ordinary user's whole cycle: init, mount through fusermount3, use, status, doctor, unmount. */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { waitUntil, type Finished } from "../helpers/exec.ts"
import { requirePrograms, skipIf } from "../helpers/requirements.ts"
import {
  Namespace,
  Place,
  clawfs,
  deviceWithMode,
  inPlace,
  occupy,
  requireMounts,
  said,
  type ClawfsOptions,
  type Scene,
} from "./harness.ts"

const requirements = (): string | undefined => requireMounts() ?? requirePrograms("fusermount3")

let place: Place
let scene: Scene
let namespace: Namespace
beforeAll(async () => {
  if (requirements() !== undefined) return
  place = await Place.make()
  scene = await place.setOfNobody()
  // The configuration of this machine is not to decide the test.
  const script = `${deviceWithMode("666")}
    echo "# empty" >"$1/dev/fuse.conf"
    mount --bind "$1/dev/fuse.conf" /etc/fuse.conf`
  namespace = await Namespace.make(script, scene.path)
})
afterAll(async () => {
  if (requirements() !== undefined) return
  await namespace[Symbol.asyncDispose]()
  await place[Symbol.asyncDispose]()
})
beforeEach((context) => {
  skipIf(context, requirements())
})

const user = (args: readonly string[]): Promise<Finished> =>
  clawfs(args, { asNobody: true, namespace, env: { HOME: scene.path } })
const userRuns = (script: string, ...args: string[]): Promise<Finished> =>
  inPlace("sh", ["-c", script, "sh", ...args], { asNobody: true, namespace })

test("init, mount, use, status, doctor and unmount without root", async () => {
  const store = join(scene.path, "own, store")
  const { mnt } = scene
  expect(said(await user(["init", store]), scene)).toBe("exit 0\nmade a store in /own, store")
  expect(said(await user(["mount", store, mnt]), scene)).toBe("exit 0\nmounted /own, store on /mnt")
  const use = await userRuns(
    'cd "$1" && umask 027 && mkdir workspaces/a && echo text >workspaces/a/f && mv workspaces/a/f agents/g && cat agents/g && stat -c "%U %a" agents/g',
    mnt,
  )
  expect(said(use)).toBe("exit 0\ntext\nnobody 640")
  const status = await user(["status", "--json", mnt])
  expect(JSON.parse(status.stdout)).toMatchObject({ state: "serving", store, mountpoint: mnt })
  // Not even root may enter, but it can ask the daemon.
  expect(said(await inPlace("ls", [mnt], { namespace }))).toMatch(/^exit 2\n.*Permission denied$/)
  expect((await clawfs(["status", mnt], { namespace })).code).toBe(0)
  const doctor = await user(["doctor", store])
  expect(doctor.stdout).toMatch(/^ok {4}device /m)
  expect(doctor.stdout).toMatch(/^ok {4}store .* it is in use by process \d+ \(mounted on /m)
  expect(doctor.stdout).toMatch(/will work\n$/)
  expect(said(await user(["unmount", mnt]), scene)).toBe("exit 0\nunmounted /mnt")
  expect(said(await userRuns('ls "$1"', mnt))).toBe("exit 0")
  expect(said(await user(["mount", store, mnt]), scene)).toBe("exit 0\nmounted /own, store on /mnt")
  expect(said(await userRuns('cat "$1/agents/g"', mnt))).toBe("exit 0\ntext")
  expect(said(await user(["unmount", mnt]), scene)).toBe("exit 0\nunmounted /mnt")
})

test("a dead mount is replaced by its user, and by nobody else", async () => {
  const { store, mnt } = scene
  const end = async (options: ClawfsOptions): Promise<void> => {
    const { stdout } = await clawfs(["status", "--json", mnt], options)
    const { supervisor, server } = JSON.parse(stdout) as Record<"supervisor" | "server", { pid: number }>
    for (const { pid } of [supervisor, server]) process.kill(pid, "SIGKILL")
    await waitUntil(async () => (await clawfs(["status", mnt], options)).code === 1, 30_000)
  }
  expect((await user(["mount", store, mnt])).code).toBe(0)
  await end({ asNobody: true, namespace })
  expect(said(await user(["mount", store, mnt]), scene)).toBe("exit 0\nmounted /store on /mnt")
  await end({ asNobody: true, namespace })
  expect(said(await user(["unmount", mnt]), scene)).toBe("exit 0\nunmounted /mnt")

  const other = place.set()
  expect((await clawfs(["mount", other.store, mnt], { namespace })).code).toBe(0)
  await end({ namespace })
  expect(said(await user(["status", mnt]))).toMatch(/^exit 1\n.*\nstate {7}dead$/s)
  expect(said(await user(["mount", store, mnt]), scene)).toBe(
    "exit 77\nclawfs: another user's dead mount is on /mnt\nhint: as that user or as root: clawfs unmount /mnt",
  )
  expect((await clawfs(["unmount", mnt], { namespace })).code).toBe(0)
})

test("--allow-other needs user_allow_other, and what only root can have is refused", async () => {
  const { store, mnt } = scene
  expect(said(await user(["mount", "--allow-other", store, mnt]), scene)).toBe(
    "exit 77\nclawfs: can't mount on /mnt: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf\n" +
      "hint: add the line user_allow_other to /etc/fuse.conf, or leave out --allow-other",
  )
  for (const option of ["suid", "dev"]) {
    expect(said(await user(["mount", `--${option}`, store, mnt]))).toBe(
      `exit 64\nclawfs: mount: --${option} needs root\nhint: clawfs mount --help tells more`,
    )
  }
  expect(said(await userRuns('grep -c "$1" /proc/self/mountinfo', mnt))).toBe("exit 1\n0")
})

test("with user_allow_other, other users can enter", async () => {
  const script = 'echo user_allow_other >"$1/dev/fuse.conf"'
  expect((await inPlace("sh", ["-c", script, "sh", scene.path], { namespace })).code).toBe(0)
  const { store, mnt } = scene
  expect(said(await user(["mount", "--allow-other", store, mnt]), scene)).toBe(
    "exit 0\nmounted /store on /mnt",
  )
  expect(said(await inPlace("ls", [mnt], { namespace }))).toBe(
    "exit 0\nagents\nspecs\nsystem\ntools\nvault\nworkspaces",
  )
  expect(said(await user(["unmount", mnt]), scene)).toBe("exit 0\nunmounted /mnt")
})

test("a busy or foreign mount is not taken away", async () => {
  const { store, mnt } = scene
  mkdirSync(join(scene.path, "root"))
  const rootStore = place.set().store
  const rootMount = join(scene.path, "root")
  expect((await clawfs(["mount", rootStore, rootMount], { namespace })).code).toBe(0)
  expect(said(await user(["unmount", "--lazy", rootMount]), scene)).toBe(
    "exit 77\nclawfs: no permission to unmount /root: another user has mounted it\n" +
      "hint: run this as that user or as root",
  )
  expect((await clawfs(["unmount", rootMount], { namespace })).code).toBe(0)

  expect((await user(["mount", store, mnt])).code).toBe(0)
  {
    await using busy = await occupy(mnt, { asNobody: true, namespace })
    expect(said(await user(["unmount", mnt]), scene)).toBe(
      `exit 75\nclawfs: /mnt is in use by sleep (process ${busy.pid})\nhint: end those programs, or use --lazy`,
    )
  }
  expect(said(await user(["unmount", mnt]), scene)).toBe("exit 0\nunmounted /mnt")
})
