/** What the control socket's methods about encrypted trees take and give (docs/PROTOCOL.md). Bytes are hexadecimal. */
import { z } from "./zod.ts"

const hex = (bytes: number): z.ZodString => z.string().regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`))
const count = z.int().min(0)
const id = z.int().min(1).max(0xffff_ffff)

export const Slot = z.strictObject({
  slot: id,
  kind: z.union([z.literal(1), z.literal(2), z.literal(3)]),
  kdf: z.union([z.literal(1), z.literal(2), z.literal(3)]),
  salt: hex(16),
  cost: count,
  memoryKiB: count,
  wrapped: hex(60),
})
export type Slot = z.infer<typeof Slot>

/** Keys themselves don't come as text: the end of a pipe that holds them is named instead. */
export const Pipe = z.strictObject({ pid: z.int().min(1), fd: count })
export type Pipe = z.infer<typeof Pipe>

export const EncryptParams = z.strictObject({ ino: id, key: id, secret: Pipe, slot: Slot })
export const UnlockParams = z.strictObject({ key: id, generation: id, secret: Pipe })
export const LockParams = z.strictObject({ key: id })
export const AddSlotParams = z.strictObject({ key: id, secret: Pipe, slot: Slot })
export const RemoveSlotParams = z.strictObject({ key: id, slot: id })
/** The pipe holds the present key, then the next one. */
export const RekeyParams = z.strictObject({ key: id, generation: id, secret: Pipe, slot: Slot })

export const KeyList = z.strictObject({
  uuid: hex(16),
  nextKey: id,
  /** Why unlocked keys do not survive the server; absent: they do. */
  notKept: z.string().optional(),
  keys: z.array(
    z.strictObject({
      key: id,
      generation: id,
      checkValue: hex(32),
      locked: z.boolean(),
      directories: z.array(count),
      rekeying: z.boolean(),
      rewrapped: count,
      slots: z.array(Slot),
    }),
  ),
})
export type KeyList = z.infer<typeof KeyList>
