/**
 * A listing must show what the process itself has just created and must not show what it has just removed, while other
 * processes list and change the same directory.
 *
 *   node build/test-programs/test/model/own-view.js change|list DIRECTORY SECONDS
 */
import { join } from "node:path"
import * as sys from "../helpers/sys.ts"
import { Recorder } from "./report.ts"

const [role = "", directory = "", seconds = "5"] = process.argv.slice(2)
const own = `own-${process.pid}`
const recorder = new Recorder()

function isListed(): boolean {
  const entries = recorder.timed("readdir", () => sys.readDirectory(directory))
  if (typeof entries === "number") throw new Error(`readdir: ${sys.errnoName(entries)}`)
  return entries.some(({ name }) => name === own)
}

function change(): void {
  const path = join(directory, own)
  const fd = sys.open(path, sys.O.CREAT | sys.O.EXCL | sys.O.WRONLY)
  if (fd < 0) recorder.fail(`create: ${sys.errnoName(fd)}`)
  sys.close(fd)
  if (!isListed()) recorder.fail("a file that was just created is not listed")
  const removed = sys.unlink(path)
  if (removed < 0) recorder.fail(`unlink: ${sys.errnoName(removed)}`)
  if (isListed()) recorder.fail("a file that was just removed is still listed")
}

const end = performance.now() + Number(seconds) * 1000
while (performance.now() < end) {
  if (role === "change") change()
  else isListed()
}
process.stdout.write(`${JSON.stringify(recorder.report())}\n`)
