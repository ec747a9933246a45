/**
 * Copies of the built program with changes: smaller limits, so that a short load comes to checkpoints and segment ends,
 * and the faults that the tester must find.
 */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { compiledModules, repository } from "../helpers/programs.ts"
import type { TreeOptions } from "./draft.ts"

export interface Patch {
  /** Below `clawfs`, without the ending. */
  readonly module: string
  readonly from: string
  readonly to: string
}

const change = (module: string, from: string, to: string): Patch => ({ module, from, to })

/** Many times smaller: checkpoints, segment ends, cleaning and deleted segments all the time. */
export const SMALL: readonly Patch[] = [
  change(
    "server/sync-worker",
    "const CHECKPOINT_BYTES = 4 * 1024 * 1024",
    "const CHECKPOINT_BYTES = 64 * 1024",
  ),
  change("store/store", "const WAL_LIMIT_BYTES = 64 * 1024 * 1024", "const WAL_LIMIT_BYTES = 1024 * 1024"),
  change("store/store", "const COMMITS_BETWEEN_CHECKS = 32", "const COMMITS_BETWEEN_CHECKS = 4"),
  change("server/fuse-worker", "const REQUESTS_BETWEEN_TIDY = 1024", "const REQUESTS_BETWEEN_TIDY = 64"),
  change("store/segments", "const SEGMENT_LIMIT = 64 * 1024 * 1024", "const SEGMENT_LIMIT = 384 * 1024"),
  change("store/segments", "const RETIRE_BYTES = 1024 * 1024", "const RETIRE_BYTES = 128 * 1024"),
  change("store/cleaner", "const SLACK_BYTES = 64 * 1024 * 1024", "const SLACK_BYTES = 128 * 1024"),
  change("server/key-orders", "const SLICE = 256", "const SLICE = 2"),
  change("server/fuse-worker", "const REMOVAL_SLICE = 256", "const REMOVAL_SLICE = 2"),
  change("server/cleaning", "const LOOK_MS = 1000", "const LOOK_MS = 20"),
  change("server/cleaning", "const PRESSING_BYTES = 256 * 1024 * 1024", "const PRESSING_BYTES = 512 * 1024"),
  change("server/cleaning", "const SLICE_BYTES = 2 * 1024 * 1024", "const SLICE_BYTES = 64 * 1024"),
]

/** No fault: the serving thread may be interrupted anywhere, and here it is, between a commit and its announcement. */
export const INTERRUPTED: readonly Patch[] = [
  change(
    "server/fuse-worker",
    `if (moment === "committed")`,
    `if (moment === "committed") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 40);
    if (moment === "committed")`,
  ),
]

/** Each breaks a promise to programs. */
export const FAULTS = {
  "segments are not synced": [change("server/disk", "syncFile(segmentPath(this.#segments, id));", ";")],
  "the WAL is not synced": [change("server/disk", "fdatasyncSync(this.#wal);", ";")],
  "recovery does nothing": [
    change(
      "store/recovery",
      "export function recoverFromPowerCut(directory, log) {",
      "export function recoverFromPowerCut(directory, log) {\n    return undefined;",
    ),
  ],
  "fsync is answered before the sync": [
    change(
      "server/sync-worker",
      "try {\n        syncAll();\n    }\n    catch (thrown) {\n        log",
      "try {\n        setTimeout(syncAll, 30);\n    }\n    catch (thrown) {\n        log",
    ),
  ],
} as const satisfies Record<string, readonly Patch[]>

export interface TreeFault {
  readonly patches: readonly Patch[]
  /** The load that finds it, and what the judge then says. */
  readonly tree: Omit<TreeOptions, "prefix">
  readonly finds: RegExp
}

/** Each breaks a promise about whole trees. */
export const TREE_FAULTS: Readonly<Record<string, TreeFault>> = {
  "the feed is written some commits later": {
    patches: [
      change(
        "store/store",
        "this.feed.flush(this.inodes.changedFiles());",
        "(this.late ??= [[], [], []]).push([...this.inodes.changedFiles()]); this.feed.flush(this.late.shift());",
      ),
    ],
    tree: { limits: true },
    finds: /the feed does not say that file \d+ changed/,
  },
  "a re-keying forgets the old key at once": {
    patches: [
      change(
        "store/tree-encryption",
        "if (old.length === 0 && body === 0)",
        "if (old.length === 0 || body === 0)",
      ),
      change("server/key-orders", "const PAUSE_MS = 10", "const PAUSE_MS = 200"),
    ],
    tree: { encrypted: true },
    finds: /a file's key is of a generation that is gone/,
  },
  "a tree's totals are written with the next commit": {
    patches: [
      change(
        "store/store",
        "if (this.trees.flush())",
        "if (this.counters.batch % 2 === 0 && this.trees.flush())",
      ),
    ],
    tree: { limits: true },
    finds: /tree \d+ (counts \d+ bytes|is damaged)/,
  },
}

/** Makes a changed copy of the program, module by module, in an empty directory; returns its command line. */
export function variant(directory: string, patches: readonly Patch[]): string {
  cpSync(compiledModules, join(directory, "dist"), { recursive: true })
  symlinkSync(join(repository, "node_modules"), join(directory, "node_modules"))
  writeFileSync(join(directory, "package.json"), `{ "type": "module" }\n`)
  for (const { module, from, to } of patches) {
    const path = join(directory, "dist", "clawfs", `${module}.js`)
    const text = readFileSync(path, "utf8")
    const found = text.split(from).length - 1
    if (found !== 1)
      throw new Error(`${module}.js has "${from}" ${found} times, not once: the fault needs to be told anew`)
    writeFileSync(
      path,
      text.replace(from, () => to),
    )
  }
  return join(directory, "dist", "clawfs", "cli", "main.js")
}
