/** Passes a program's output on, through the leak filter. */
import { fstatSync, write } from "node:fs"
import type { Readable } from "node:stream"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"
import { poll } from "../../clawfs/sys/libc.ts"
import type { LeakFilter } from "../leaks.ts"

const POLLOUT = 4
/** A pipe that is ready takes so much without waiting (pipe(7)). */
const PIPE_BUF = 4096
const PAUSE_MS = 5

const writeTo = promisify(write)

/** Resolves when `from` has ended, or `stop` is aborted, and what may be passed on is written. */
export async function pass(from: Readable, filter: LeakFilter, to: number, stop: AbortSignal): Promise<void> {
  const chunks = from as AsyncIterable<Buffer>
  for await (const chunk of chunks) {
    await writeAll(to, filter.push(chunk), stop)
    if (stop.aborted) return
  }
  await writeAll(to, filter.end(), stop)
}

/**
 * A reader that has gone is no error: the program's output is read on, as by `head`. One that does not read keeps no thread
 * waiting, of which there are four.
 */
async function writeAll(fd: number, bytes: Buffer, stop: AbortSignal): Promise<void> {
  try {
    const most = fstatSync(fd).isFile() ? bytes.length : PIPE_BUF
    for (let at = 0; at < bytes.length && !stop.aborted;) {
      if (isReady(fd)) at += (await writeTo(fd, bytes, at, Math.min(most, bytes.length - at))).bytesWritten
      else await sleep(PAUSE_MS)
    }
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "EPIPE") throw thrown
  } finally {
    bytes.fill(0)
  }
}

/** Also when the reader is gone, which writing tells. */
function isReady(fd: number): boolean {
  const polled = Buffer.alloc(8)
  polled.writeInt32LE(fd)
  polled.writeInt16LE(POLLOUT, 4)
  return poll(polled, 1, 0) > 0
}
