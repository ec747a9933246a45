/** How fast files that are there already are indexed, by words alone and with the built-in embedder. */
import { join } from "node:path"
import { run } from "../command.ts"
import type { Guard } from "../mounts.ts"
import { copyCorpus, type Corpus } from "./corpus.ts"
import { Daemon, hasLearned, hasVectors, hasWords } from "./daemon.ts"
import type { Row } from "../rows.ts"

const TIMEOUT_SECONDS = 1200

/** A store that holds a corpus, not mounted and not indexed. */
export async function filled(
  base: string,
  guard: Guard,
  bytes: number,
  withPages = false,
): Promise<[Daemon, Corpus]> {
  const daemon = await Daemon.make(base, guard)
  const source = join(base, "corpus")
  const corpus = copyCorpus(source, bytes, withPages)
  await daemon.mount("--no-index")
  await run(["cp", "-r", source, join(daemon.mountpoint, "workspaces", "corpus")], { timeoutMs: 600_000 })
  await daemon.unmount()
  await run(["rm", "-rf", source])
  return [daemon, corpus]
}

/** Leaves the daemon mounted, with vectors. */
export async function* indexing([daemon, corpus]: [Daemon, Corpus]): AsyncGenerator<Row> {
  const megabytes = corpus.bytes / 1e6
  const note = `${corpus.files} files, ${megabytes.toFixed(0)} MB, from the mount on`
  daemon.configure({ provider: "none" })
  await daemon.mount()
  const words = await daemon.until(hasWords, TIMEOUT_SECONDS)
  yield { name: "index.words", value: megabytes / words, unit: "MB/s", atLeast: 10, note }
  await daemon.unmount()
  await run(["rm", "-rf", join(daemon.store, "index")])
  daemon.configure({ provider: "builtin" })
  await daemon.mount()
  const vectors = await daemon.until(hasVectors, TIMEOUT_SECONDS)
  yield { name: "index.builtin", value: megabytes / vectors, unit: "MB/s", atLeast: 1.5, note }
  const learned = vectors + (await daemon.until(hasLearned, TIMEOUT_SECONDS))
  yield {
    name: "index.builtin.learned",
    value: megabytes / learned,
    unit: "MB/s",
    note: "vectors of what it has learned",
  }
}
