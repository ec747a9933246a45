/** The work of `clawfs snapshot diff`, which reads the database; the other actions ask the daemon. */
import { join } from "node:path"
import type { SnapshotRow } from "../../../schema/tree-methods.ts"
import { call } from "../../api/client.ts"
import { Fault } from "../../core/fault.ts"
import { SNAPSHOTS } from "../../fs/hidden.ts"
import { Database } from "../../store/database.ts"
import { META } from "../../store/place.ts"
import { TreeDiff } from "../../store/tree-diff.ts"
import type { SnapshotInvocation } from "../commands/snapshot.ts"
import { ExitCode } from "../exit-code.ts"
import { inside } from "../inside.ts"
import type { Named } from "./snapshot.ts"

const SIGNS = { added: "+", removed: "-", changed: "M", attributes: "a", renamed: "R" } as const

export async function diff(
  { values, terminal }: SnapshotInvocation,
  { name, directory }: Named,
): Promise<ExitCode> {
  const place = inside(directory)
  // What was answered is committed then, for the database to be read by another process.
  await call(place.store, "sync")
  const rows = (await call(place.store, "snapshot.list")) as SnapshotRow[]
  const snapshot = rows.find((row) => row.name === name)
  if (snapshot === undefined)
    throw new Fault("not-found", `there is no snapshot "${name}"`, {
      hint: "clawfs snapshot list shows them",
    })
  using db = new Database(join(place.store, META), { readonly: true })
  db.begin()
  const second = inodeAt(db, Buffer.from(place.path, "base64"), directory)
  const home = numberAt(db, 1, SNAPSHOTS) ?? 0
  const differences = new TreeDiff(db, home).compare(snapshot.root, second)
  const shown = (names: readonly Buffer[]): string =>
    JSON.stringify(Buffer.concat(names.flatMap((each) => [Buffer.from("/"), each])).toString()).slice(2, -1)
  for (const { kind, path, from, isDirectory } of differences) {
    const end = isDirectory ? "/" : ""
    if (values.json === true)
      terminal.out(
        JSON.stringify({ kind, path: shown(path), ...(from && { from: shown(from) }), isDirectory }),
      )
    else
      terminal.out(
        `${SIGNS[kind]} ${from === undefined ? "" : `${shown(from)}${end} -> `}${shown(path)}${end}`,
      )
  }
  return differences.length === 0 ? ExitCode.OK : ExitCode.NO
}

function numberAt(db: Database, parent: number, name: Buffer): number | undefined {
  return db
    .query<[number, Buffer], [number]>("SELECT ino FROM dentry WHERE parent = ? AND name = ?")
    .get(parent, name)?.[0]
}

/** The inode at a path from the root, by the names that its directories have. */
function inodeAt(db: Database, path: Buffer, given: string): number {
  let ino = 1
  for (const name of path.toString("latin1").split("/").filter(Boolean)) {
    const next = numberAt(db, ino, Buffer.from(name, "latin1"))
    if (next === undefined) throw new Fault("not-found", `${given} is gone`)
    ino = next
  }
  return ino
}
