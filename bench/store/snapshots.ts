/** Snapshots of a tree of 10,000 files, as the command makes them. */
import { median, type Row } from "../rows.ts"
import { clawfs, type Place } from "./place.ts"

const FILES = 10_000
const DIRECTORIES = 100
const ROUNDS = 7

export async function* snapshots(place: Place): AsyncGenerator<Row> {
  const tree = await place.fresh("tree")
  for (let i = 0; i < DIRECTORIES; i += 1) {
    const directory = await tree.fresh(`d${i}`)
    await directory.client("fill", directory.dir, 0, FILES / DIRECTORIES, 1000)
  }
  const times: number[] = []
  const bare: number[] = []
  for (let i = 0; i < ROUNDS; i += 1) {
    const { seconds } = await tree.on(clawfs("snapshot", "create", `bench-${i}`, tree.dir))
    times.push(seconds * 1000)
    bare.push((await tree.on(clawfs("snapshot", "list", tree.dir))).seconds * 1000)
  }
  const note = `${FILES} files; the command with its start, which alone is ${median(bare).toFixed(0)} ms`
  yield { name: "snapshot.create", value: median(times), unit: "ms", atMost: 200, note }
}
