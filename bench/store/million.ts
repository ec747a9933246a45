/** A store with a million files: its check, and the mount after a crash. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { run, sleep } from "../command.ts"
import { abortMount, isMounted, unmountBelow } from "../mounts.ts"
import type { Row } from "../rows.ts"
import { clawfs, type Place } from "./place.ts"

const TIMEOUT_MS = 1_800_000

const parentOf = (pid: number): number =>
  Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0)

/** `store`: the target's. Leaves it mounted. */
export async function* million(place: Place, store: string, files: number): AsyncGenerator<Row> {
  const mount = place.target.mount ?? ""
  const tree = await place.fresh("million")
  const perDirectory = 1000
  const started = performance.now()
  for (let i = 0; i < files / perDirectory; i += 1) {
    const directory = await tree.fresh(`d${i}`)
    await directory.client("fill", directory.dir, 0, perDirectory, 100)
  }
  const seconds = (performance.now() - started) / 1000
  const made = `${files} files, made in ${seconds.toFixed(0)} s`
  // What a crash leaves: changes that no fsync followed, and nobody who says goodbye.
  const server = (await place.target.serverPid?.()) ?? 0
  const supervisor = parentOf(server)
  for (const pid of [supervisor, server]) process.kill(pid, "SIGKILL")
  abortMount(mount)
  unmountBelow(mount)
  await sleep(2000)
  const { seconds: mountSeconds } = await run(clawfs("mount", "--no-index", store, mount), {
    timeoutMs: 120_000,
  })
  if (!isMounted(mount)) throw new Error("not mounted after the crash")
  yield { name: "mount.after-crash", value: mountSeconds, unit: "s", atMost: 1, note: made }
  await run(clawfs("unmount", mount), { timeoutMs: 120_000 })
  const { seconds: check } = await run(clawfs("fsck", store), { timeoutMs: TIMEOUT_MS })
  yield { name: "fsck", value: (check * 1e6) / files, unit: "s", atMost: 60, note: "for a million files" }
  await run(clawfs("mount", "--no-index", store, mount), { timeoutMs: 120_000 })
}

/** Where `startClawfs` keeps the store of a target. */
export const storeOf = (base: string): string => join(base, "store")
