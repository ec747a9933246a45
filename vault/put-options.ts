/** What can be said of a secret when a value is put, and what is known of one of which nothing was said. */
import { DEFAULT_KEEP, DEFAULT_ROTATE_DAYS, checkDescription, checkTags, type Metadata } from "./metadata.ts"

export interface PutOptions {
  readonly description?: string | undefined
  readonly tags?: readonly string[] | undefined
  /** Milliseconds since 1970; 0: never. */
  readonly expires?: number | undefined
  readonly rotateDays?: number | undefined
  readonly keep?: number | undefined
  /** A decoy from now on. */
  readonly canary?: true | undefined
  /** It must be there already, or must not. */
  readonly must?: "exist" | "be new" | undefined
}

export function newMetadata(name: string, now: number): Metadata {
  return {
    ...{ name, description: "", tags: [], created: now, latest: 0, changed: now, removed: 0 },
    ...{ expires: 0, rotateDays: DEFAULT_ROTATE_DAYS, keep: DEFAULT_KEEP },
  }
}

/** Throws `Fault("invalid")` for what can't be said. */
export function withOptions(metadata: Metadata, options: PutOptions): Metadata {
  const { description, tags, expires, rotateDays, keep, canary } = options
  return {
    ...metadata,
    description: checkDescription(description ?? metadata.description),
    tags: checkTags(tags ?? metadata.tags),
    expires: expires ?? metadata.expires,
    rotateDays: rotateDays ?? metadata.rotateDays,
    keep: keep ?? metadata.keep,
    ...(canary === undefined ? {} : { canary }),
  }
}
