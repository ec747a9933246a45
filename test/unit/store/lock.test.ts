import { spawn, type ChildProcess } from "node:child_process"
import { closeSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { lockStore } from "../../../clawfs/store/lock.ts"
import { requirePrograms, skipIf } from "../support/requirements.ts"
import { temporary } from "../support/temporary.ts"

/** Another process that holds the lock until it is killed. */
async function holder(directory: string, text: string): Promise<ChildProcess> {
  writeFileSync(join(directory, "lock"), text)
  const script = 'exec 9>>"$0" && flock 9 && echo held && read line'
  const child = spawn("sh", ["-c", script, join(directory, "lock")], { stdio: ["pipe", "pipe", "inherit"] })
  await new Promise((resolve) => child.stdout.once("data", resolve))
  return child
}

async function end(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.stdout?.once("close", resolve))
  child.kill("SIGKILL")
  await ended
}

function refusal(directory: string): Fault | undefined {
  try {
    closeSync(lockStore(directory, "test"))
    return undefined
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown
    throw thrown
  }
}

test("a store is locked by one at a time, and the refusal names who has it", () => {
  using place = temporary()
  const fd = lockStore(place.path, "clawfs mount on /mnt/x")
  expect(statSync(join(place.path, "lock")).mode & 0o777).toBe(0o600)
  const fault = refusal(place.path)
  expect(fault?.kind).toBe("busy")
  expect(fault?.message).toBe(
    `the store ${place.path} is in use by process ${process.pid} (clawfs mount on /mnt/x)`,
  )
  expect(fault?.hint).toContain("clawfs unmount")
  closeSync(fd)
  expect(refusal(place.path)).toBeUndefined()
})

test("another process's lock is respected, and its number is told", async (context) => {
  skipIf(context, requirePrograms("flock"))
  using place = temporary()
  const child = await holder(
    place.path,
    JSON.stringify({ pid: 4711, purpose: "clawfs mount on /x", since: "" }),
  )
  expect(refusal(place.path)?.message).toContain("in use by process 4711 (clawfs mount on /x)")
  await end(child)
  expect(refusal(place.path)).toBeUndefined()
})

test("a lock whose holder has not written its name yet is respected too", async (context) => {
  skipIf(context, requirePrograms("flock"))
  using place = temporary()
  const child = await holder(place.path, "")
  expect(refusal(place.path)?.message).toContain("in use by another process")
  await end(child)
})

test("a lock that a dead process left behind is no obstacle", () => {
  using place = temporary()
  writeFileSync(join(place.path, "lock"), JSON.stringify({ pid: 4711, purpose: "gone", since: "" }))
  const fd = lockStore(place.path, "new")
  expect(JSON.parse(readFileSync(join(place.path, "lock"), "utf8"))).toMatchObject({
    pid: process.pid,
    purpose: "new",
  })
  closeSync(fd)
})
