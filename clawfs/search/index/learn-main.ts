/** The thread that learns: see learn.ts. */
import { setPriority, constants } from "node:os"
import { parentPort, workerData } from "node:worker_threads"
import { describe, Fault, type FaultKind } from "../../core/fault.ts"
import { embeddedText } from "../embed/embedder.ts"
import { learn } from "../embed/learn.ts"
import { unpackText } from "./chunk-text.ts"
import { IndexReader } from "./reader.ts"

export interface LearnRequest {
  readonly directory: string
  readonly dimensions: number
  readonly mostTexts: number
}

export type Learned = { readonly bytes: Uint8Array } | { readonly problem: string; readonly kind: FaultKind }

function* textsOf({ directory, mostTexts }: LearnRequest): Generator<string> {
  using reader = new IndexReader(directory)
  const ids = reader.rows<[number]>("SELECT id FROM chunk ORDER BY hash, ino, n LIMIT ?", mostTexts)
  for (const [id] of ids) {
    const [row] = reader.rows<[string, string, Buffer]>(
      "SELECT d.title, c.heading, c.text FROM chunk c JOIN document d ON d.ino = c.ino WHERE c.id = ?",
      id,
    )
    // Gone since the list was made.
    if (row === undefined) continue
    yield embeddedText({ title: row[0], heading: row[1], text: unpackText(row[2]) })
  }
}

function answer(request: LearnRequest): Learned {
  try {
    return { bytes: learn(textsOf(request), { dimensions: request.dimensions }) }
  } catch (thrown) {
    return { problem: describe(thrown), kind: thrown instanceof Fault ? thrown.kind : "bug" }
  }
}

// On Linux a priority belongs to a thread, and 0 is the calling one.
setPriority(0, constants.priority.PRIORITY_LOW)
parentPort?.postMessage(answer(workerData as LearnRequest))
