/**
 * A directory that is worked in by its path, and must not have become another one: moved away, or replaced by a copy, whose
 * files have the same names. The open descriptor also keeps its inode number from being used again.
 */
import { closeSync, constants, fstatSync, openSync, statSync } from "node:fs"
import { Fault } from "../core/fault.ts"

export class HeldDirectory implements Disposable {
  readonly #path: string
  readonly #fd: number
  #isOpen = true

  constructor(path: string) {
    this.#path = path
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  }

  /** Whether the path leads there still. */
  get isHere(): boolean {
    return isSame(this.#path, this.#fd)
  }

  /** Throws `Fault("io")` when the path leads elsewhere now. Before a file is opened, made or removed by its name; 3 µs. */
  requireHere(): void {
    if (!this.isHere)
      throw new Fault("io", `${this.#path} was moved away or replaced while it was in use`, {
        hint: "move it back, or unmount",
      })
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) closeSync(this.#fd)
    this.#isOpen = false
  }
}

/** Whether `path` leads to what is open as `fd`. */
export function isSame(path: string, fd: number): boolean {
  const [there, held] = [statSync(path, { throwIfNoEntry: false }), fstatSync(fd)]
  return there?.ino === held.ino && there.dev === held.dev
}
