/**
 * The body of an answer on its way to the client: decoded, counted, without values of secrets. What can't be decoded is not passed
 * on, as nothing could be found in it.
 */
import type { IncomingMessage } from "node:http"
import { Transform, type Readable, type TransformCallback } from "node:stream"
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib"
import { Fault } from "../../clawfs/core/fault.ts"
import { LeakFilter, type LeakScanner } from "../leaks.ts"

/** Limits what comes, then what it is decoded to, and takes leaks out. */
export class BodyFilter extends Transform {
  readonly #filter: LeakFilter
  readonly #most: number
  #length = 0

  constructor(scanner: LeakScanner, most: number) {
    super()
    this.#filter = new LeakFilter(scanner)
    this.#most = most
  }

  get leaks(): number {
    return this.#filter.count
  }

  get names(): string[] {
    return this.#filter.names
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#length += chunk.length
    if (this.#length > this.#most) done(new Fault("invalid", `the answer has more than ${this.#most} bytes`))
    else done(null, this.#filter.push(chunk))
  }

  override _flush(done: TransformCallback): void {
    done(null, this.#filter.end())
  }
}

/** The decoded body. The proxy asks for none, but servers may encode all the same. */
export function decodedBody(answer: IncomingMessage): {
  readonly body: Readable
  readonly steps: Transform[]
} {
  const encoding = (answer.headers["content-encoding"] ?? "identity").trim().toLowerCase()
  switch (encoding) {
    case "identity":
    case "":
      return { body: answer, steps: [] }
    case "gzip":
    case "x-gzip":
      return { body: answer, steps: [createGunzip()] }
    case "deflate":
      return { body: answer, steps: [createInflate()] }
    case "br":
      return { body: answer, steps: [createBrotliDecompress()] }
    default:
      throw new Fault("unsupported", "the answer is encoded in a way that can't be looked into")
  }
}
