/** Inodes without a name, at the start of a server. */
import type { Environment } from "./environment.ts"

/**
 * Buries those that nobody holds and keeps those that the kernel holds until it forgets them. With `isResumed`, the one
 * that the last request made (O_TMPFILE) is kept too: the kernel may not have got that answer, and will ask again.
 */
export function adoptOrphans(env: Environment, isResumed: boolean): void {
  const { store } = env
  for (const ino of store.inodes.orphans()) {
    const mayBeAskedFor = isResumed && ino === store.counters.reply.value
    if (env.lookups.get(ino) > 0 || mayBeAskedFor) env.orphans.add(ino)
    else store.release(ino)
  }
}
