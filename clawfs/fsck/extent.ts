/** One row of table `extent`, on its own. */
import { SEGMENT_HEADER } from "../store/log-scan.ts"
import { ENCODING_GROWTH, RECORD_MAX } from "../store/record.ts"
import { SAFE_LIMIT } from "./scan.ts"

export type ExtentRow = [
  body: number,
  offset: number,
  length: number,
  segment: number,
  position: number,
  record: number,
  skip: number,
  plain: number,
  sequence: number,
]

export const EXTENT_COLUMNS = "body, offset, length, segment, position, record, skip, plain, sequence"

const U32 = 2 ** 32

export function isSegment(id: number): boolean {
  return id > 0 && id < U32
}

/** What keeps an extent from being read; undefined when nothing does, as far as its row tells. */
export function problemOfExtent(row: ExtentRow): string | undefined {
  const [, offset, length, segment, position, record, skip, plain, sequence] = row
  if (length <= 0) return `an extent of ${length} bytes`
  if (offset + length >= SAFE_LIMIT) return "an extent reaches behind the largest size of a file"
  if (segment === 0) return undefined
  if (!isSegment(segment)) return `an extent lies in segment ${segment}, which can't be`
  if (position < SEGMENT_HEADER || position >= U32)
    return `an extent lies at position ${position}, which can't be`
  const most = plain === 0 ? RECORD_MAX : RECORD_MAX + ENCODING_GROWTH
  if (record < 1 || record > most) return `an extent lies in a record of ${record} bytes, which can't be`
  if (plain < 0 || plain > RECORD_MAX)
    return `an extent lies in a record of ${plain} decoded bytes, which can't be`
  const decoded = plain === 0 ? record : plain
  if (skip < 0 || skip + length > decoded) return `an extent leaves its record of ${decoded} bytes`
  if (sequence < 0 || sequence >= SAFE_LIMIT) return `an extent names record ${sequence}, which can't be`
  return undefined
}
