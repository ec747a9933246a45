import { existsSync, openSync, closeSync } from "node:fs"
import { dirname } from "node:path"
import { beforeEach, expect, test } from "vitest"
import { descriptorsOf, newDescriptors } from "../helpers/descriptors.ts"
import { exec, waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { isAlive, mountsBelow, processId, type ProcessId } from "../helpers/mountinfo.ts"
import { program } from "../helpers/programs.ts"
import { plainDirectory, requireFuse, skipIf } from "../helpers/requirements.ts"

beforeEach((context) => {
  skipIf(
    context,
    plainDirectory === undefined ? undefined : "tests of the mount guard need a mount",
    requireFuse(),
  )
})

const processesOf = async (mount: Mount): Promise<ProcessId[]> => {
  const { supervisor, server } = await mount.status()
  return [supervisor.pid, server.pid].flatMap((pid) => processId(pid) ?? [])
}

function expectNothingLeft(mount: Mount, processes: readonly ProcessId[]): void {
  expect(mountsBelow(dirname(mount.mountpoint))).toEqual([])
  expect(processes.filter(isAlive)).toEqual([])
  expect(existsSync(dirname(mount.mountpoint))).toBe(false)
}

test("a mount serves files, keeps them over an unmount and leaves nothing behind", async () => {
  const mount = await mountClawfs()
  const processes = await processesOf(mount)
  await mount.run("sh", ["-c", "echo kept >file"], { cwd: mount.work })
  await mount.remount()
  processes.push(...(await processesOf(mount)))
  expect((await mount.run("cat", ["file"], { cwd: mount.work })).stdout).toBe("kept\n")
  await mount[Symbol.asyncDispose]()
  expect(processes).toHaveLength(4)
  expectNothingLeft(mount, processes)
})

test("two mounts at once know nothing of each other", async () => {
  await using first = await mountClawfs()
  await using second = await mountClawfs()
  await first.run("touch", ["only-here"], { cwd: first.work })
  expect(first.mountpoint).not.toBe(second.mountpoint)
  expect((await second.run("ls", [second.work])).stdout).toBe("")
  expect((await first.run("ls", [first.work])).stdout).toBe("only-here\n")
})

test("a mount whose supervisor was killed fails its test and is cleaned away all the same", async () => {
  const mount = await mountClawfs()
  const processes = await processesOf(mount)
  for (const { pid } of processes) process.kill(pid, "SIGKILL")
  await expect(mount[Symbol.asyncDispose]()).rejects.toThrow("did not end cleanly")
  expectNothingLeft(mount, processes)
})

test("a program that hangs on the mount is ended by its time limit", async () => {
  const mount = await mountClawfs()
  const processes = await processesOf(mount)
  for (const { pid } of processes) process.kill(pid, "SIGSTOP")
  const hanging = mount.run("ls", ["-l", `${mount.work}/not-cached-yet`], { timeoutSeconds: 2 })
  await expect(hanging).rejects.toThrow("not finished in 2 s")
  for (const { pid } of processes) process.kill(pid, "SIGKILL")
  await expect(mount[Symbol.asyncDispose]()).rejects.toThrow("did not end cleanly")
  expectNothingLeft(mount, processes)
})

test("a mount that hangs for too long is aborted by the watchdog", async () => {
  const mount = await mountClawfs({ limitSeconds: 6 })
  const processes = await processesOf(mount)
  for (const { pid } of processes) process.kill(pid, "SIGSTOP")
  const { code, stderr } = await mount.exec("ls", ["-l", `${mount.work}/not-cached-yet`], {
    timeoutSeconds: 30,
  })
  expect(code).not.toBe(0)
  expect(stderr).toMatch(/not connected|connection abort|No such device/)
  for (const { pid } of processes) process.kill(pid, "SIGKILL")
  await expect(mount[Symbol.asyncDispose]()).rejects.toThrow("the watchdog had to act")
  expectNothingLeft(mount, processes)
})

test("the mount of a test process that dies is cleaned away", async () => {
  const { stdout } = await exec(process.execPath, [program("test/helpers/orphan.ts")])
  const { mountpoint, pids } = JSON.parse(stdout) as { mountpoint: string; pids: number[] }
  const base = dirname(mountpoint)
  expect(await waitUntil(() => !existsSync(base), 10_000)).toBe(true)
  expect(mountsBelow(base)).toEqual([])
  for (const pid of pids) {
    const id = processId(pid)
    expect(id === undefined || !isAlive(id)).toBe(true)
  }
})

test("a descriptor that stays open is noticed", () => {
  const before = descriptorsOf(process.pid)
  const fd = openSync("/dev/null", "r")
  expect(newDescriptors(before, descriptorsOf(process.pid))).toEqual(new Map([["/dev/null", 1]]))
  closeSync(fd)
  expect(newDescriptors(before, descriptorsOf(process.pid))).toEqual(new Map())
})
