/** Methods of the control socket that work on the tree, and their parameters. Paths are bytes from the root, in base64. */
import { z } from "./zod.ts"

const PATH_MAX = 4096

const path = z.base64().transform((text, context): Uint8Array => {
  const bytes = Buffer.from(text, "base64")
  if (bytes.length > 0 && bytes.length <= PATH_MAX) return bytes
  context.addIssue({ code: "custom", message: "no path" })
  return z.NEVER
})
/** 0: none. */
const limit = z.int().nonnegative()
const name = z.string().min(1).max(255, "it has more than 255 characters")

/** By the method's name. */
export const TREE_PARAMS = {
  "snapshot.create": z.strictObject({ name, path, isWritable: z.boolean() }),
  "snapshot.list": z.strictObject({}),
  "snapshot.delete": z.strictObject({ name }),
  "snapshot.restore": z.strictObject({ name, path, isForced: z.boolean() }),
  "snapshot.schedule": z.strictObject({ name, path, every: z.int(), keep: z.int() }),
  "snapshot.unschedule": z.strictObject({ name }),
  "snapshot.schedules": z.strictObject({}),
  /** Makes what is due: the daemon asks for it every so often. */
  "snapshot.tick": z.strictObject({}),
  clone: z.strictObject({ source: path, target: path }),
  "quota.set": z.strictObject({ path, bytes: limit.optional(), inodes: limit.optional() }),
  "quota.remove": z.strictObject({ path }),
  "quota.show": z.strictObject({ path }),
  "quota.list": z.strictObject({}),
  "compress.set": z.strictObject({ path, level: z.int().min(1).max(9) }),
  "compress.off": z.strictObject({ path }),
  "compress.show": z.strictObject({ path }),
  "guard.set": z.strictObject({ path, action: z.enum(["block", "alert"]) }),
  "guard.off": z.strictObject({ path }),
  "guard.show": z.strictObject({ path }),
} as const

export type TreeMethod = keyof typeof TREE_PARAMS
export type TreeParams<M extends TreeMethod> = z.output<(typeof TREE_PARAMS)[M]>

/** A snapshot as the socket's answers and `--json` show it. */
export interface SnapshotRow {
  readonly name: string
  /** From the root of the filesystem; bytes that are no UTF-8 are replaced. */
  readonly path: string
  /** Seconds since 1970. */
  readonly created: number
  readonly isWritable: boolean
  /** Inode of its top directory, and of the directory that it was made of. */
  readonly root: number
  readonly source: number
  readonly inodes: number
  readonly bytes: number
}

/** A schedule as the socket's answers and `--json` show it. */
export interface ScheduleRow {
  readonly name: string
  readonly path: string
  /** Seconds. */
  readonly every: number
  readonly keep: number
  /** Seconds since 1970. */
  readonly next: number
}

/** A directory's limits; 0: none. */
export interface QuotaRow {
  /** From the root of the filesystem; bytes that are no UTF-8 are replaced. */
  readonly path: string
  readonly limitBytes: number
  readonly usedBytes: number
  readonly limitInodes: number
  readonly usedInodes: number
}

/** What happens to writes below a directory that have a secret of the vault in them. */
export interface GuardRow {
  /** Null: nobody looks. */
  readonly action?: "block" | "alert" | null
}

/** What holds for new files below a directory. */
export interface CompressionRow {
  /** Null: they are not compressed. */
  readonly level: number | null
  /** The innermost tree that the directory is in; 0: none. */
  readonly tree: number
}
