/** What the control socket may ask of the tree; carried out by the serving thread (`Desk`). */
import type { SnapshotRow, TreeMethod, TreeParams } from "../../schema/tree-methods.ts"
import { clone } from "../fs/clone.ts"
import type { Environment } from "../fs/environment.ts"
import type { Removal } from "../fs/removal.ts"
import { restore } from "../fs/restore.ts"
import { createSnapshot, deleteSnapshot } from "../fs/snapshots.ts"
import { NOTHING_STALE } from "../fuse/notify.ts"
import type { Snapshot } from "../store/snapshots.ts"
import type { Method, Outcome } from "./desk.ts"

/** The main thread has checked the parameters (`tree-requests.ts`). */
type Methods = { readonly [M in TreeMethod]: (params: TreeParams<M>) => Outcome }

export function treeMethods(env: Environment, removal: Removal): ReadonlyMap<string, Method> {
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
    clone: ({ source, target }) => {
      const { copied, stale } = clone(env, Buffer.from(source), Buffer.from(target))
      return { value: { inodes: copied.inodes, bytes: copied.bytes }, stale }
    },
  }
  return new Map<string, Method>(Object.entries(methods))
}

function shown(env: Environment, snapshot: Snapshot): SnapshotRow {
  const { name, path, created, root, source, inodes, bytes } = snapshot
  const isWritable = !env.store.trees.isReadOnly(root)
  return { name, path: path.toString(), created, isWritable, root, source, inodes, bytes }
}
