/** A mount whose files are searched, as tests use it. */
import { join } from "node:path"
import type { IndexStatus, SearchResponse } from "../../schema/search-api.ts"
import { sleep } from "./exec.ts"
import type { Mount } from "./mount.ts"

export async function status(mount: Mount): Promise<IndexStatus> {
  const { stdout, stderr, code } = await mount.clawfsAnyway(["index", "status", "--json", mount.mountpoint])
  if (code !== 0) throw new Error(stderr)
  return JSON.parse(stdout) as IndexStatus
}

/** Waits until the index is as the files are, vectors included. */
export async function settled(mount: Mount): Promise<IndexStatus> {
  let problem = ""
  const end = performance.now() + 60_000
  while (performance.now() < end) {
    await sleep(100)
    try {
      const now = await status(mount)
      const isQuiet = !now.isIndexing && !now.isEmbedding && now.last > 0
      if (isQuiet && now.embedders.length === 1 && now.embedders[0]?.done === now.chunks) return now
      problem = JSON.stringify(now)
    } catch (thrown) {
      problem = String(thrown)
    }
  }
  throw new Error(`the index does not settle: ${problem}\n${mount.log()}`)
}

/** With `--fresh` asked again while the index is behind: a busy machine may need more than the two seconds that it is waited for. */
export async function search(mount: Mount, query: string, ...flags: string[]): Promise<SearchResponse> {
  const end = performance.now() + 60_000
  for (;;) {
    const answer = await searchOnce(mount, query, flags)
    if (!flags.includes("--fresh") || answer.isFresh || performance.now() > end) return answer
  }
}

async function searchOnce(mount: Mount, query: string, flags: readonly string[]): Promise<SearchResponse> {
  const { stdout, stderr } = await mount.clawfsAnyway([
    "search",
    "--json",
    ...flags,
    "--",
    query,
    mount.mountpoint,
  ])
  if (stdout === "") throw new Error(stderr)
  return JSON.parse(stdout) as SearchResponse
}

export const write = (mount: Mount, name: string, text: string): Promise<unknown> =>
  mount.run("sh", ["-c", 'mkdir -p "$(dirname "$1")"; cat > "$1"', "write", join(mount.work, name)], {
    input: text,
  })
export const own = (mount: Mount, name: string): string =>
  join(mount.work, name).slice(mount.mountpoint.length + 1)
