/** inotify(7) with the events that Node's own watching does not ask for: that a file was closed by who has written it. */
import { closeSync } from "node:fs"
import { bind, checked, pollReadable, type PollHandle } from "./ffi.ts"
import { readAvailable } from "./pipes.ts"

const inotifyInit = bind<[flags: number]>("int inotify_init1(int)")
const inotifyAddWatch = bind<[fd: number, path: string, mask: number]>(
  "int inotify_add_watch(int, const char*, unsigned int)",
)

const NONBLOCK_CLOEXEC = 0o4000 | 0o2000000
const CLOSE_WRITE = 0x8
const MOVED_TO = 0x80
const ONLY_DIRECTORY = 0x0100_0000
const DONT_FOLLOW = 0x0200_0000
const OVERFLOW = 0x4000
const IGNORED = 0x8000
/** struct inotify_event, before its name. */
const HEAD_BYTES = 16

export interface FileArrived {
  /** As `watch` gave it. */
  readonly directory: number
  readonly name: string
}

/** Tells of files that come into directories: written and closed, or renamed to there. It keeps none of them open. */
export class Arrivals implements Disposable {
  readonly #fd: number
  readonly #handle: PollHandle

  /** `onLost`: there were more than the kernel keeps; look for yourself. */
  constructor(onArrival: (arrived: FileArrived) => void, onLost: () => void) {
    this.#fd = checked("inotify_init1", inotifyInit(NONBLOCK_CLOEXEC))
    this.#handle = pollReadable(this.#fd, () => this.#read(onArrival, onLost))
  }

  /** The same number for a directory that is watched already. */
  watch(directory: string): number {
    const mask = CLOSE_WRITE | MOVED_TO | ONLY_DIRECTORY | DONT_FOLLOW
    return checked("inotify_add_watch", inotifyAddWatch(this.#fd, directory, mask))
  }

  #read(onArrival: (arrived: FileArrived) => void, onLost: () => void): void {
    for (;;) {
      const bytes = readAvailable(this.#fd)
      if (bytes === undefined || bytes.length === 0) return
      for (let at = 0; at + HEAD_BYTES <= bytes.length;) {
        const [directory, mask] = [bytes.readInt32LE(at), bytes.readUInt32LE(at + 4)]
        const end = at + HEAD_BYTES + bytes.readUInt32LE(at + 12)
        const name = bytes.toString("utf8", at + HEAD_BYTES, end).replace(/\0+$/, "")
        if ((mask & OVERFLOW) !== 0) onLost()
        else if ((mask & IGNORED) === 0 && name !== "") onArrival({ directory, name })
        at = end
      }
    }
  }

  [Symbol.dispose](): void {
    this.#handle.close()
    closeSync(this.#fd)
  }
}
