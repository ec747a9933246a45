/** Snapshots that are made by the clock: each schedule keeps so many, the oldest go first. */
import { Fault, describe, mountedReadOnly } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import type { Stale } from "../fuse/notify.ts"
import type { Schedule } from "../store/schedules.ts"
import { now } from "../sys/clock.ts"
import type { Environment } from "./environment.ts"
import { find } from "./path.ts"
import { createSnapshot, deleteSnapshot, requireKnownPath } from "./snapshots.ts"

/** Shorter than a snapshot's: the time is put behind it. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$/
export const EVERY_MIN_SECONDS = 60
export const EVERY_MAX_SECONDS = 366 * 86_400
export const KEEP_MAX = 10_000

/** Makes a schedule, or changes the one of that name; its first snapshot is due at once. */
export function setSchedule(env: Environment, schedule: Omit<Schedule, "next">): Schedule {
  const { store } = env
  const { name, path, every, keep } = schedule
  if (store.readOnly) throw mountedReadOnly()
  if (!NAME.test(name))
    throw new Fault("invalid", "a schedule's name has up to 100 letters, digits and any of . _ + -")
  if (every < EVERY_MIN_SECONDS || every > EVERY_MAX_SECONDS)
    throw new Fault("invalid", "a schedule makes a snapshot every minute at most, and every year at least")
  if (keep < 1 || keep > KEEP_MAX) throw new Fault("invalid", `a schedule keeps 1 to ${KEEP_MAX} snapshots`)
  const source = find(env, path)
  if (!source.isDirectory) throw new Fault("invalid", "only directories can be snapshotted")
  requireKnownPath(env, source)
  const made = { ...schedule, next: now().seconds }
  store.transactAlone(() => store.schedules.put(made))
  return made
}

/** The snapshots that it has made stay. */
export function removeSchedule(env: Environment, name: string): void {
  if (!env.store.schedules.all().some((each) => each.name === name))
    throw new Fault("not-found", `there is no schedule "${name}"`, {
      hint: "clawfs snapshot schedules shows them",
    })
  env.store.transactAlone(() => env.store.schedules.delete(name))
}

/** Makes what is due and deletes what is too many. Whatever can't be made is told in the log and tried at the next time. */
export function runSchedules(env: Environment, log: Log): { made: number; removed: number; stale: Stale } {
  const entries: Stale["entries"][number][] = []
  const inodes: Stale["inodes"][number][] = []
  const add = (stale: Stale): void => {
    entries.push(...stale.entries)
    inodes.push(...stale.inodes)
  }
  let [made, removed] = [0, 0]
  const { seconds } = now()
  for (const schedule of env.store.readOnly ? [] : env.store.schedules.all()) {
    // A clock that was set back must not stop it for long.
    if (schedule.next > seconds && schedule.next <= seconds + schedule.every) continue
    env.store.transactAlone(() => env.store.schedules.put({ ...schedule, next: seconds + schedule.every }))
    try {
      add(
        createSnapshot(env, { name: nameOf(schedule, seconds), path: schedule.path, isWritable: false })
          .stale,
      )
      made += 1
    } catch (thrown) {
      if (!(thrown instanceof Fault) || thrown.kind === "bug") throw thrown
      log.error("a scheduled snapshot was not made", { schedule: schedule.name, reason: describe(thrown) })
      continue
    }
    for (const name of surplus(env, schedule)) {
      add(deleteSnapshot(env, name))
      removed += 1
    }
  }
  return { made, removed, stale: { entries, inodes } }
}

/** `daily@2026-11-21T10:15:00`, in UTC; no name that somebody gives has this form by accident. */
function nameOf({ name }: Schedule, seconds: number): string {
  return `${name}@${new Date(seconds * 1000).toISOString().slice(0, 19)}`
}

/**
 * The oldest are those that were made first, whatever the clock said then: inode numbers tell. After a clock that was
 * ahead for a while, the newest would otherwise count as the oldest and go as soon as they are made.
 */
function surplus(env: Environment, { name, keep }: Schedule): string[] {
  const form = /^@\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/
  const mine = env.store.snapshots
    .all()
    .sort((one, other) => one.root - other.root)
    .map((snapshot) => snapshot.name)
    .filter((each) => each.startsWith(`${name}@`) && form.test(each.slice(name.length)))
  return mine.slice(0, Math.max(0, mine.length - keep))
}
