/** An open file, directory or place (O_PATH) that is closed with its scope. */
import { closeSync, fstatSync, type BigIntStats } from "node:fs"

export class Descriptor implements Disposable {
  readonly fd: number

  constructor(fd: number) {
    this.fd = fd
  }

  /** A path that means this very inode, whatever becomes of its names. */
  get path(): string {
    return `/proc/self/fd/${this.fd}`
  }

  stat(): BigIntStats {
    return fstatSync(this.fd, { bigint: true })
  }

  [Symbol.dispose](): void {
    closeSync(this.fd)
  }
}
