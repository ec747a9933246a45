/** Checksums of rows: what is in the tables is what was written, and nothing is missing. */
import { wrongSums, type WrongSum } from "../store/row-sums.ts"
import type { Pass } from "./pass.ts"
import { standIn } from "./sealed.ts"

/** So many are told of one by one. */
const MOST = 10_000

const MESSAGES: Readonly<Record<Exclude<WrongSum["what"], "schema">, string>> = {
  row: "the inode is not as it was written",
  name: "the entry is not as it was written",
  extent: "an extent is not as it was written",
  content: "bytes that lie in the database are not as they were written: they can't be read",
  parts: "what belongs to it is not all there, or more than that: names of a directory, extents of a file",
  attributes: "extended attributes are not as they were written",
  tree: "the properties of the tree are not as they were written",
  key: "a key, or a slot of it, is not as it was written",
  segments: "the table of segments is not as it was written",
  shared: "the table of shared contents is not as it was written",
  snapshots: "the table of snapshots is not as it was written",
  schedules: "the table of schedules is not as it was written",
  slots: "a slot of a key is lost, or there is one too many",
  state: "the row of totals is not as it was written",
  store: "the row of table store is not as it was written",
}

/**
 * What does not fit its checksum, before anything is mended: a repair changes rows, and gives all of them new checksums at
 * its end.
 */
export function findWrongSums({ db }: Pick<Pass, "db">): WrongSum[] {
  const wrong: WrongSum[] = []
  for (const each of wrongSums(db)) {
    wrong.push(each)
    if (wrong.length === MOST) break
  }
  return wrong
}

type Entry = NonNullable<WrongSum["entry"]>

function sealedEntry({ parent, name }: Entry): Entry {
  return { parent, name: standIn(name) }
}

/** To be called when names are known. A row that is otherwise possible is taken as it is by a repair. */
export function reportWrongSums({ findings, sealed }: Pass, wrong: readonly WrongSum[]): void {
  for (const { what, ino, entry } of wrong) {
    if (what === "schema") continue
    findings.add({
      kind: "checksum",
      message: MESSAGES[what],
      ...(ino === undefined || entry !== undefined ? {} : { ino }),
      ...(entry === undefined ? {} : { entry: sealed.has(entry.parent) ? sealedEntry(entry) : entry }),
      ...(what === "content" ? {} : { repair: () => undefined }),
    })
  }
}
