/** `manifest.json` of a generation of a backup, and `clawfs-backup.json` of the directory that holds them (docs/FORMAT.md §5). */
import { z } from "./zod.ts"

/** Version of these files and of what lies beside them. */
export const BACKUP_FORMAT = 1

const Uuid = z.string().regex(/^[0-9a-f]{32}$/)
const Bytes = z.int().nonnegative()
const Decimal = z.string().regex(/^\d{1,20}$/)

export const BackupIdentity = z.object({
  format: z.literal(BACKUP_FORMAT),
  /** Of the store, as in table `store`. */
  uuid: Uuid,
})
export type BackupIdentity = z.infer<typeof BackupIdentity>

const BackupSegment = z.object({
  /** The file's name follows from the number: no name is ever taken from here. */
  id: z
    .int()
    .min(1)
    .max(2 ** 32 - 1),
  bytes: Bytes,
  /** Records in use that were damaged in the store when it was copied. */
  damaged: Bytes,
  /** The file of the store that it is a copy of, as stat(2) told: while that is the same, so are its bytes. */
  source: z.object({ inode: Decimal, changed: Decimal }),
})
export type BackupSegment = z.infer<typeof BackupSegment>

export const BackupManifest = z.object({
  format: z.literal(BACKUP_FORMAT),
  uuid: Uuid,
  /** Counts up from 1, however the clock is set. */
  generation: z.int().min(1),
  /** When it was begun, ISO 8601. */
  made: z.string(),
  clawfs: z.string(),
  /** Format version of `meta.db`. */
  schema: z.int().min(1),
  meta: z.object({ bytes: Bytes, sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
  totals: z.object({ inodes: Bytes, bytes: Bytes }),
  segments: z.array(BackupSegment),
})
export type BackupManifest = z.infer<typeof BackupManifest>

/** The version alone, which every version of these files has. */
export const BackupVersion = z.object({ format: z.int() })
