/** Names that a listing leaves out, so that `find` and backups don't fall in; whoever asks for them finds them. */
import { ROOT_NODE, type NodeId } from "../core/brand.ts"

/** Where the snapshots are, in the root. */
export const SNAPSHOTS = Buffer.from(".snapshots")

/** Whether a listing of `directory` leaves `name` out. */
export function isHidden(directory: NodeId, name: Buffer): boolean {
  return directory === ROOT_NODE && name.equals(SNAPSHOTS)
}
