/** The work of `clawfs gc`. */
import { statSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { call } from "../../api/client.ts"
import { Fault } from "../../core/fault.ts"
import type { Status } from "../../server/status.ts"
import { META } from "../../store/place.ts"
import { isClawfs } from "../../sys/clawfs-mounts.ts"
import type { GcInvocation } from "../commands/gc.ts"
import { ExitCode } from "../exit-code.ts"
import { locate } from "../mountpoint.ts"
import { humanBytes } from "../numbers.ts"
import type { Terminal } from "../terminal.ts"

const POLL_MS = 200
/** A line of progress so often. */
const TELL_MS = 2000

export async function runGc({ values, operands, terminal }: GcInvocation): Promise<ExitCode> {
  const { path, entry } = locate(operands[0] ?? "")
  if (!isClawfs(entry)) {
    throw new Fault("not-found", `no ClawFS is mounted on ${path}`, {
      hint: "mount the store first: its daemon does the work",
    })
  }
  const store = entry.source
  const before = await statusOf(store)
  if (values.now !== true) {
    report(values.json === true, terminal, before, undefined)
    return ExitCode.OK
  }
  const database = join(store, META)
  const bytesBefore = statSync(database).size
  if (before.readOnly) throw new Fault("read-only", `${path} is mounted read-only`)
  await clean(store, before, terminal)
  // Segments that are empty now are deleted when that is on the disk.
  await call(store, "sync")
  const after = await statusOf(store)
  const shrunkBy = Math.max(0, bytesBefore - statSync(database).size)
  report(values.json === true, terminal, after, givenBack(before, after) + shrunkBy)
  return ExitCode.OK
}

/** Bytes of the log. What was deleted a moment before still counted as live, and what is written meanwhile does. */
function givenBack({ log: before }: Status, { log: after }: Status): number {
  const dead = before.deadBytes - after.deadBytes
  return Math.max(0, dead, dead + before.liveBytes - after.liveBytes)
}

async function statusOf(store: string): Promise<Status> {
  return (await call(store, "status")) as Status
}

/** Orders the cleaning, once more if the daemon's server was replaced meanwhile, and waits for its end. */
async function clean(store: string, before: Status, terminal: Terminal): Promise<void> {
  let { order } = (await call(store, "clean")) as { order: number }
  let server = before.server.pid
  let told = Date.now()
  for (;;) {
    await sleep(POLL_MS)
    const now = await statusOf(store)
    if (now.server.pid !== server) {
      server = now.server.pid
      order = ((await call(store, "clean")) as { order: number }).order
    } else if (now.log.cleaned >= order) return
    if (Date.now() - told < TELL_MS) continue
    told = Date.now()
    terminal.note(`${humanBytes(now.log.deadBytes)} to be given back`)
  }
}

/** `returned`: bytes of the log and of the database; undefined where nothing was ordered. */
function report(isJson: boolean, terminal: Terminal, now: Status, returned: number | undefined): void {
  const { liveBytes, deadBytes } = now.log
  if (isJson) {
    terminal.out(JSON.stringify({ liveBytes, deadBytes, givenBackBytes: returned ?? 0 }, undefined, 2))
    return
  }
  if (returned !== undefined) terminal.out(`given back  ${humanBytes(returned)}`)
  terminal.out(`live        ${humanBytes(liveBytes)}\ndead        ${humanBytes(deadBytes)}`)
}
