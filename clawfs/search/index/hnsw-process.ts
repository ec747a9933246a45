/** The child process with the HNSW graph, as its parent starts it. */
import { fileURLToPath } from "node:url"
import { HelperProcess } from "../helper-process.ts"
import type { HnswAnswer, HnswRequest } from "./hnsw-messages.ts"

/** Processes can't be TypeScript under Node 20; where this file is compiled, so is that one. */
const hnswMain = fileURLToPath(new URL("./hnsw-main.js", import.meta.url))

export class HnswProcess extends HelperProcess<HnswRequest, HnswAnswer> {
  /** `program`: another path of hnsw-main.js, for tests. */
  constructor(program = hnswMain) {
    super(program, "the vector graph")
  }
}
