/** An open file, directory or place (O_PATH) that is closed with its scope. */
import { fstatSync, type BigIntStats } from "node:fs"
import { close } from "./libc.ts"

export class Descriptor implements Disposable {
  readonly fd: number

  /** Of a descriptor that a call of sys/beneath.ts has opened: Node keeps count of its own. */
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
    close(this.fd)
  }
}
