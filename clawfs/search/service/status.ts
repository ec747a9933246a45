/** How the index is, for people. */
import type { IndexStatus } from "../../../schema/search-api.ts"
import type { IndexReader } from "../index/reader.ts"

export type IndexState = Pick<IndexStatus, "files" | "chunks" | "embedders">

export function statusOf(reader: IndexReader): IndexState {
  const { indexed, skipped, failed, chunks } = reader.counts()
  return {
    files: { indexed, skipped, failed },
    chunks,
    embedders: reader
      .embedders()
      .map(({ id, dimensions, done, isCurrent, graph }) => ({ id, dimensions, done, isCurrent, graph })),
  }
}
