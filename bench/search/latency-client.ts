/** Creates, reads and deletes small files at a steady pace and prints how long operations took: DIRECTORY SECONDS. */
import { closeSync, openSync, readSync, unlinkSync, writeSync } from "node:fs"
import { join } from "node:path"
import { quantile } from "../rows.ts"

const [directory = "", seconds = "10"] = process.argv.slice(2)
const PAUSE_MS = 2
const bytes = Buffer.alloc(4096, "text ")
const times: number[] = []

function timed(work: () => void): void {
  const start = process.hrtime.bigint()
  work()
  times.push(Number(process.hrtime.bigint() - start) / 1000)
}

const end = Date.now() + Number(seconds) * 1000
for (let i = 0; Date.now() < end; i += 1) {
  const file = join(directory, `f${i}`)
  timed(() => {
    const fd = openSync(file, "w")
    writeSync(fd, bytes)
    closeSync(fd)
  })
  timed(() => {
    const fd = openSync(file, "r")
    readSync(fd, bytes)
    closeSync(fd)
  })
  timed(() => unlinkSync(file))
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
}
process.stdout.write(JSON.stringify({ p50: quantile(times, 0.5), p99: quantile(times, 0.99) }))
