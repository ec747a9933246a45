/** What compression saves, from the database of a store that may be mounted. */
import { join } from "node:path"
import { compressionStats, type CompressionStats } from "../store/compression-stats.ts"
import { Database } from "../store/database.ts"
import { META } from "../store/place.ts"

/** With a connection of its own, so that no program on the mount waits for it. */
export function statsOf(store: string, tree: number): CompressionStats {
  using db = new Database(join(store, META), { readonly: true })
  return compressionStats(db, tree)
}
