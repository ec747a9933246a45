import type { Subject } from "../audit.ts"

/** One request. */
export interface Call<P> {
  readonly params: P
  /** Descriptors that came along; the service closes them. */
  readonly fds: readonly number[]
  readonly isOwner: boolean
  /** Who asks; the hash of the program takes longer. */
  readonly subject: (options?: { withHash?: boolean }) => Subject
  readonly gid: number
  /** What is to be done when whoever asks is gone before the answer. */
  readonly whenGone: (stop: () => void) => void
}
