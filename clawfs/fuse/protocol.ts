/**
 * One request in, at most one reply out; no I/O. Every request but FORGET is answered exactly once, by this class or,
 * when an operation says LATER, by the thread it was handed to. A handler that throws is logged once and becomes an
 * errno: no byte sequence may leave a program hanging or end the server.
 */
import { Reader } from "../core/bytes.ts"
import { E, OK, errnoName, isErrno, type Result, type Status } from "../core/errno.ts"
import { Fault, Rebuilt, describe, errnoOfThrown } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import { Opcode, Size, UNIQUE_RESEND_HIGH, readInHeader, type Attr, type InHeader } from "./abi.ts"
import { Flag } from "./flags.ts"
import { NO_REPLY, ROWS, countReply, entryOrOpen, type Context, type Row } from "./opcode.ts"
import { HANDLE_ROWS } from "./handle-rows.ts"
import { LATER, type Operations } from "./operations.ts"
import { Reply } from "./reply.ts"
import { TTL_SECONDS, negotiateInit, type Agreement, type SessionOptions } from "./session.ts"

/** What is kept of an answer: the inode of an entry reply, a number of bytes, or only that it was a success. */
export type Once = "entry" | "count" | "status"

/** What the server remembers about requests that an earlier server may have executed already. */
export interface Replay {
  /** Sees to it that everything answered so far is in force; throws the fault that prevents it. */
  catchUp(): void
  /** Answers a resent request from its record; undefined when it was never executed. */
  answer(request: InHeader, kind: Once): Result<Attr> | { readonly count: number } | typeof OK | undefined
}

export interface ProtocolOptions extends SessionOptions {
  readonly replay: Replay
  readonly log: Log
  /** Called with what INIT agreed on, before the reply goes out. */
  readonly onAgreement: (agreement: Agreement) => void
  /** The agreement of an earlier server on this connection. */
  readonly resumed?: Agreement | undefined
  /** How long the kernel may cache names and attributes; for ever unless told otherwise. */
  readonly ttlSeconds?: number
}

/** How often a request may begin again because memory was rebuilt under it. */
const ATTEMPTS = 2

/** Nothing to send: a FORGET, or a reply that another thread will send. */
export const NOTHING = 0

export class Protocol {
  readonly #operations: Operations
  readonly #options: ProtocolOptions
  readonly #rows: ReadonlyMap<number, Row>
  readonly #reader: Reader
  readonly #request: Buffer
  readonly #reply: Reply
  #context: Context
  /** Bytes of the present request, as they were read. */
  #length = 0

  constructor(operations: Operations, request: Buffer, reply: Buffer, options: ProtocolOptions) {
    this.#operations = operations
    this.#options = options
    this.#rows = operations.handles === undefined ? ROWS : HANDLE_ROWS
    this.#request = request
    this.#reader = new Reader(request)
    this.#reply = new Reply(reply)
    this.#context = this.#contextOf(options.resumed)
  }

  #contextOf(agreement: Agreement | undefined): Context {
    return {
      operations: this.#operations,
      reply: this.#reply,
      ttlSeconds: this.#options.ttlSeconds ?? TTL_SECONDS,
      openIsAsked: agreement?.openIsAsked ?? this.#options.openIsAsked,
      extendedSetxattr: ((agreement?.flags ?? 0n) & Flag.SETXATTR_EXT) !== 0n,
    }
  }

  /**
   * Handles the `length` bytes at the start of the request buffer. Returns the length of the reply in the reply buffer,
   * or `NOTHING`.
   */
  handle(length: number): number {
    if (length < Size.inHeader) {
      this.#options.log.error("request shorter than its header", { length })
      return NOTHING
    }
    this.#length = length
    this.#reader.rewind(0, length)
    let request: InHeader
    try {
      request = readInHeader(this.#reader)
    } catch (thrown) {
      this.#options.log.error("request header is unreadable", { reason: describe(thrown) })
      return this.#answerUnreadable()
    }
    const forget = NO_REPLY.get(request.opcode)
    if (forget !== undefined) {
      this.#guard(request, () => (forget(this.#context, request, this.#reader), OK))
      return NOTHING
    }
    this.#reply.reset()
    const outcome = this.#guard(request, () => this.#dispatch(request))
    if (outcome === LATER) return NOTHING
    if (isErrno(outcome)) return this.#reply.sealError(outcome, request.uniqueLow, request.uniqueHigh)
    return this.#reply.sealSuccess(request.uniqueLow, request.uniqueHigh)
  }

  /** A node id above 2^53 that we never gave out: the header can't be decoded, but it names whom to answer. */
  #answerUnreadable(): number {
    const low = this.#request.readUInt32LE(8)
    const high = this.#request.readUInt32LE(12)
    const opcode = this.#request.readUInt32LE(4)
    return NO_REPLY.has(opcode) ? NOTHING : this.#reply.sealError(E.ESTALE, low, high)
  }

  #dispatch(request: InHeader): Status | typeof LATER {
    if (request.opcode === Opcode.INIT) return this.#init()
    const row = this.#rows.get(request.opcode)
    if (row === undefined) return E.ENOSYS
    this.#options.replay.catchUp()
    const resent = (request.uniqueHigh & UNIQUE_RESEND_HIGH) !== 0
    if (resent && row.once !== undefined) {
      const replayed = this.#replay(row, row.once, request)
      if (replayed !== undefined) return replayed
    }
    return row.run(this.#context, request, this.#reader)
  }

  #replay(row: Row, kind: Once, request: InHeader): Status | undefined {
    const answer = this.#options.replay.answer(request, kind)
    if (answer === undefined) return undefined
    this.#options.log.info("replayed", { op: row.name })
    if (answer === OK || isErrno(answer)) return answer
    if ("count" in answer) return countReply(this.#context, request.opcode, answer.count)
    return entryOrOpen(this.#context, request.opcode, answer)
  }

  #init(): Status {
    const agreed = negotiateInit(this.#reader, this.#options, this.#reply)
    if (typeof agreed === "number") return agreed
    this.#options.onAgreement(agreed)
    this.#context = this.#contextOf(agreed)
    return OK
  }

  #guard(request: InHeader, run: () => Status | typeof LATER, attempts = ATTEMPTS): Status | typeof LATER {
    try {
      return run()
    } catch (thrown) {
      if (thrown instanceof Rebuilt && attempts > 0) {
        this.#reply.reset()
        this.#reader.rewind(Size.inHeader, this.#length)
        return this.#guard(request, run, attempts - 1)
      }
      const errno = thrown instanceof RangeError ? E.EINVAL : errnoOfThrown(thrown)
      this.#report(request, thrown, errnoName(errno))
      this.#reply.reset()
      return errno
    }
  }

  #report(request: InHeader, thrown: unknown, errno: string): void {
    // The program is told; a log that grows with every attempt would not help a full disk.
    if (thrown instanceof Fault && thrown.kind === "no-space") return
    const op = ROWS.get(request.opcode)?.name ?? `opcode ${request.opcode}`
    const expected = thrown instanceof RangeError || (thrown instanceof Fault && thrown.kind !== "bug")
    const stack = !expected && thrown instanceof Error ? thrown.stack : undefined
    this.#options.log.error("request failed", {
      op,
      node: request.node,
      errno,
      reason: describe(thrown),
      stack,
    })
  }
}
