/**
 * Executes requests of the journal again: the same protocol and filesystem, but nobody hears the answers. The buffers are
 * its own, because a batch may have to be redone while another request is being served.
 */
import { E, errnoName } from "../core/errno.ts"
import { Fault } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import type { FileSystem } from "../fs/filesystem.ts"
import { NOTHING, Protocol } from "../fuse/protocol.ts"
import { JOURNAL_REQUEST_MAX } from "../store/journal.ts"

/** Entry replies are the longest that a mutation has. */
const REPLY_BYTES = 4096
const ERROR_AT = 4

export class Replayer {
  readonly #request = Buffer.allocUnsafeSlow(JOURNAL_REQUEST_MAX)
  readonly #reply = Buffer.allocUnsafeSlow(REPLY_BYTES)
  readonly #fs: FileSystem
  readonly #log: Log

  constructor(fs: FileSystem, log: Log) {
    this.#fs = fs
    this.#log = log
  }

  /** What succeeded before must succeed again: anything else means that the store is not what it was. */
  execute(request: Buffer, flags: bigint): void {
    request.copy(this.#request)
    const protocol = new Protocol(this.#fs, this.#request, this.#reply, {
      writeback: false,
      openIsAsked: true,
      replay: { answer: () => undefined, catchUp: () => undefined },
      log: this.#log,
      onAgreement: () => undefined,
      resumed: { minor: 0, flags, writeback: false, openIsAsked: true },
    })
    const length = protocol.handle(request.length)
    const error = length === NOTHING ? 0 : -this.#reply.readInt32LE(ERROR_AT)
    if (error === E.ENOSPC) throw new Fault("no-space", "no room to execute an answered request again")
    // It has succeeded before: what fails now is the disk, or it is damaged, which the log tells.
    if (error === E.EIO) throw new Fault("io", "the disk failed when an answered request was executed again")
    if (error !== 0)
      throw new Fault("corrupt", `an answered request can't be executed again: ${errnoName(error)}`)
  }
}
