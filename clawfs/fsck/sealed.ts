/** What encrypted inodes have is checked without a key, as far as that goes. */
import { BLOB_OVERHEAD, IV_BYTES } from "../../keyring/primitives.ts"
import { NAME_BLOCK } from "../../keyring/file-key.ts"

export { BLOB_OVERHEAD }

const NAME_MAX = 255

/** SQL: the bytes of a file in a row of `inline`. An encrypted piece has a nonce and a tag around them. */
export const PIECE_LENGTH = `max(0, length(data) - ${BLOB_OVERHEAD} * (body IN (SELECT body FROM file_key)))`

/** Whether a name's cell has a length that one can have. */
export function isCell(cell: Buffer): boolean {
  const blocks = (cell.length - IV_BYTES) / NAME_BLOCK
  return Number.isInteger(blocks) && blocks >= 1 && blocks <= Math.ceil(NAME_MAX / NAME_BLOCK)
}

/** What stands for a name that can't be read. */
export function standIn(cell: Buffer): Buffer {
  return Buffer.from(`<encrypted ${cell.toString("hex", 0, 4)}>`)
}
