/** A descriptor that closes when its scope ends. */
import { close } from "../sys/libc.ts"

export class Descriptor implements Disposable {
  readonly fd: number

  /** Of a descriptor that a call of sys/beneath.ts has opened: Node keeps count of its own. */
  constructor(fd: number) {
    this.fd = fd
  }

  /** For calls that take paths: the inode that is open, whatever became of its name. */
  get path(): string {
    return `/proc/self/fd/${this.fd}`
  }

  [Symbol.dispose](): void {
    close(this.fd)
  }
}
