/**
 * The only importer of sqlite-vec, of which one function is used: `vec_distance_cosine`, over ordinary rows. (Its virtual table grows
 * with every change and never shrinks.) It is optional: without it vectors are read and compared here.
 */
import type { Database } from "../../store/database.ts"

/** Loads it into a connection. Returns whether it is there. */
export async function loadVectorDistance(db: Database): Promise<boolean> {
  try {
    const { getLoadablePath } = await import("sqlite-vec")
    db.loadExtension(getLoadablePath())
    return true
  } catch {
    // Not installed, or not for this machine; the caller has another way.
    return false
  }
}
