/** What the control socket may ask of the tree; carried out by the serving thread (`Desk`). */
import type { ScheduleRow, SnapshotRow, TreeMethod, TreeParams } from "../../schema/tree-methods.ts"
import type { Log } from "../core/log.ts"
import { clone } from "../fs/clone.ts"
import { compressBelow, showCompression, stopCompressing } from "../fs/compressing.ts"
import type { Environment } from "../fs/environment.ts"
import { guardBelow, showGuard, stopGuarding } from "../fs/guarding.ts"
import { listQuotas, removeQuota, setQuota, showQuota } from "../fs/limits.ts"
import { find } from "../fs/path.ts"
import type { Removal } from "../fs/removal.ts"
import { restore } from "../fs/restore.ts"
import { removeSchedule, runSchedules, setSchedule } from "../fs/schedules.ts"
import { createSnapshot, deleteSnapshot } from "../fs/snapshots.ts"
import { NOTHING_STALE } from "../fuse/notify.ts"
import type { Schedule } from "../store/schedules.ts"
import type { Snapshot } from "../store/snapshots.ts"
import type { Method, Outcome } from "./desk.ts"

/** The main thread has checked the parameters (`tree-requests.ts`). */
type Methods = { readonly [M in TreeMethod]: (params: TreeParams<M>) => Outcome }

export function treeMethods(env: Environment, removal: Removal, log: Log): ReadonlyMap<string, Method> {
  const methods: Methods = {
    "snapshot.create": ({ name, path, isWritable }) => {
      const { snapshot, stale } = createSnapshot(env, { name, path: Buffer.from(path), isWritable })
      return { value: shown(env, snapshot), stale }
    },
    "snapshot.list": () => ({
      value: env.store.snapshots.all().map((each) => shown(env, each)),
      stale: NOTHING_STALE,
    }),
    "snapshot.delete": ({ name }) => {
      const stale = deleteSnapshot(env, name)
      removal.order()
      return { value: {}, stale }
    },
    "snapshot.restore": ({ name, path, isForced }) => {
      const { restored, removed, stale } = restore(env, { name, path: Buffer.from(path), isForced })
      return { value: { restored, removed }, stale }
    },
    "snapshot.schedule": ({ name, path, every, keep }) => ({
      value: rowOf(setSchedule(env, { name, path: Buffer.from(path), every, keep })),
      stale: NOTHING_STALE,
    }),
    "snapshot.unschedule": ({ name }) => {
      removeSchedule(env, name)
      return { value: {}, stale: NOTHING_STALE }
    },
    "snapshot.schedules": () => ({ value: env.store.schedules.all().map(rowOf), stale: NOTHING_STALE }),
    "snapshot.tick": () => {
      const { made, removed, stale } = runSchedules(env, log)
      if (removed > 0) removal.order()
      return { value: { made, removed }, stale }
    },
    clone: ({ source, target }) => {
      const { copied, stale } = clone(env, Buffer.from(source), Buffer.from(target))
      return { value: { inodes: copied.inodes, bytes: copied.bytes }, stale }
    },
    ...propertyMethods(env),
  }
  return new Map<string, Method>(Object.entries(methods))
}

type PropertyMethod = Extract<TreeMethod, `quota.${string}` | `compress.${string}` | `guard.${string}`>

/** Nothing of this is in the kernel's caches. */
function propertyMethods(env: Environment): Pick<Methods, PropertyMethod> {
  const { store } = env
  const at = (path: Uint8Array): number => find(env, Buffer.from(path)).ino
  const answer = (value: unknown): Outcome => ({ value, stale: NOTHING_STALE })
  return {
    "quota.set": ({ path, bytes, inodes }) => answer(setQuota(store, at(path), { bytes, inodes })),
    "quota.remove": ({ path }) => answer(removeQuota(store, at(path))),
    "quota.show": ({ path }) => answer(showQuota(store, at(path))),
    "quota.list": () => answer(listQuotas(store)),
    "compress.set": ({ path, level }) => answer(compressBelow(store, at(path), level)),
    "compress.off": ({ path }) => answer(stopCompressing(store, at(path))),
    "compress.show": ({ path }) => answer(showCompression(store, at(path))),
    "guard.set": ({ path, action }) => answer(guardBelow(store, at(path), action)),
    "guard.off": ({ path }) => answer(stopGuarding(store, at(path))),
    "guard.show": ({ path }) => answer(showGuard(store, at(path))),
  }
}

function shown(env: Environment, snapshot: Snapshot): SnapshotRow {
  const { name, path, created, root, source, inodes, bytes } = snapshot
  const isWritable = !env.store.trees.isReadOnly(root)
  return { name, path: path.toString(), created, isWritable, root, source, inodes, bytes }
}

function rowOf({ name, path, every, keep, next }: Schedule): ScheduleRow {
  return { name, path: path.toString(), every, keep, next }
}
