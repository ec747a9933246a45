/** One tree: every directory hangs below the root and knows what it hangs in; every inode has a name. */
import { ROOT_NODE } from "../core/brand.ts"
import type { Draft } from "./finding.ts"
import { LostAndFound } from "./lost-and-found.ts"
import type { Pass } from "./pass.ts"
import { change } from "./scan.ts"

const Reach = { UNKNOWN: 0, ON_THE_WAY: 1, DONE: 2 } as const

/** To be called when the index knows all names. */
export function checkTree(pass: Pass): void {
  const { index, findings } = pass
  const root = index.find(ROOT_NODE)
  const lostAndFound = new LostAndFound(pass)
  if (root >= 0 && !index.isDirectory(root))
    findings.add({ kind: "inode", ino: ROOT_NODE, message: "the root is no directory" })
  const { isPossible } = lostAndFound
  const repairOf = (at: number): Pick<Draft, "repair"> =>
    isPossible ? { repair: () => lostAndFound.attach(at) } : {}
  for (let at = 0; at < index.size; at += 1) {
    const ino = index.ino[at] ?? 0
    if (index.isLost(at)) {
      findings.add({
        kind: "lost",
        ino,
        message: `no name leads to inode ${ino}`,
        ...repairOf(at),
      })
    } else if (index.isDirectory(at)) checkParent(pass, at)
  }
  checkCycles(pass, repairOf)
}

function checkParent({ db, findings, index }: Pass, at: number): void {
  const ino = index.ino[at] ?? 0
  const said = index.parent[at] ?? 0
  const right = ino === ROOT_NODE ? ROOT_NODE : (index.nameParent[at] ?? 0)
  if (said === right || right === 0) return
  findings.add({
    kind: "inode",
    ino,
    message: `the directory is in inode ${right}, and says inode ${said}`,
    repair: () => change(db, "UPDATE inode SET parent = ? WHERE ino = ?", right, ino),
  })
}

/** Directories that have names, and hang in themselves: no path leads there. */
function checkCycles({ index, findings }: Pass, repairOf: (at: number) => Pick<Draft, "repair">): void {
  const reach = new Uint8Array(index.size)
  const root = index.find(ROOT_NODE)
  if (root >= 0) reach[root] = Reach.DONE
  for (let start = 0; start < index.size; start += 1) {
    if (!index.isDirectory(start) || reach[start] !== Reach.UNKNOWN) continue
    const way: number[] = []
    let at = start
    // What has no name ends the way: it is lost, as found before.
    while (at >= 0 && reach[at] === Reach.UNKNOWN) {
      reach[at] = Reach.ON_THE_WAY
      way.push(at)
      at = index.names[at] === 0 ? -1 : index.find(index.nameParent[at] ?? 0)
    }
    if (at >= 0 && reach[at] === Reach.ON_THE_WAY) {
      const ino = index.ino[at] ?? 0
      findings.add({
        kind: "lost",
        ino,
        message: `directory ${ino} lies inside of itself, no path leads there`,
        ...repairOf(at),
      })
    }
    for (const each of way) reach[each] = Reach.DONE
  }
}
