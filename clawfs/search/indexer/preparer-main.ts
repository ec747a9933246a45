/** The indexer's second thread: reads texts, splits them and prepares what the index takes, while the first one writes. */
import { parentPort } from "node:worker_threads"
import { present } from "../../core/assert.ts"
import { describe } from "../../core/fault.ts"
import { chunksOf } from "../chunk/chunk.ts"
import { isRefusal, refuse, type Refusal } from "../extract/extraction.ts"
import { Extractor } from "../extract/extractor.ts"
import { bufferSource } from "../extract/source.ts"
import { prepareText, type PreparedText } from "../index/prepare.ts"

export interface PrepareRequest {
  readonly id: number
  /** The last component of the file's path. */
  readonly name: string
  /** Bytes of the file, and its first ones. */
  readonly size: number
  readonly bytes: Uint8Array
}

export interface PrepareReply {
  readonly id: number
  readonly result: PreparedText | Refusal
}

const port = present(parentPort, "the thread that started this one")
const extractor = new Extractor()

async function prepared({ name, size, bytes }: PrepareRequest): Promise<PreparedText | Refusal> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const extraction = await extractor.extract(name, { ...bufferSource(buffer), size })
  if (isRefusal(extraction)) return extraction
  const isWhole = extraction.isWhole && bytes.length === size
  return prepareText({ ...extraction, isWhole }, chunksOf(extraction))
}

port.on("message", (request: PrepareRequest) => {
  const { id } = request
  prepared(request)
    .catch((thrown: unknown) => refuse("crashed", describe(thrown)))
    .then((result) => {
      const parts = "state" in result ? [] : [result.bytes.buffer, result.grams.buffer]
      port.postMessage({ id, result } satisfies PrepareReply, parts)
    })
    .catch((thrown: unknown) => {
      throw thrown
    })
})
