/**
 * Tells the kernel what changed behind its back (FUSE_NOTIFY_INVAL_ENTRY, FUSE_NOTIFY_INVAL_INODE). The kernel takes locks
 * for it that a program may hold which waits for an answer: never to be called by the thread that serves.
 */
import type { NodeId } from "../core/brand.ts"
import { Writer } from "../core/bytes.ts"
import type { Log } from "../core/log.ts"
import { Notify, Size, writeOutHeader } from "./abi.ts"
import { sendMessage } from "./channel.ts"

/** What the kernel may have in its caches and should ask for again. */
export interface Stale {
  readonly entries: readonly { readonly parent: NodeId; readonly name: Uint8Array }[]
  /** Attributes, pages and listings. */
  readonly inodes: readonly NodeId[]
}

export const NOTHING_STALE: Stale = { entries: [], inodes: [] }

/** Makes the kernel forget all of `stale`. What it does not have is no error. */
export function invalidate(fd: number, stale: Stale, log: Log): void {
  for (const { parent, name } of stale.entries) send(fd, entryMessage(parent, name), log)
  for (const node of stale.inodes) send(fd, inodeMessage(node), log)
}

function send(fd: number, message: Buffer, log: Log): void {
  sendMessage(fd, message, message.length, log)
}

/** struct fuse_notify_inval_entry_out: parent u64, length of the name u32, flags u32; then the name with a zero byte. */
export function entryMessage(parent: NodeId, name: Uint8Array): Buffer {
  const message = Buffer.alloc(Size.outHeader + Size.notifyInvalEntryOut + name.length + 1)
  const writer = new Writer(message)
  writeOutHeader(writer, message.length, Notify.INVAL_ENTRY, 0, 0)
  writer.i53(parent).u32(name.length).u32(0).put(name)
  return message
}

/** struct fuse_notify_inval_inode_out: node u64, offset i64, length i64. */
export function inodeMessage(node: NodeId): Buffer {
  const message = Buffer.alloc(Size.outHeader + Size.notifyInvalInodeOut)
  const writer = new Writer(message)
  writeOutHeader(writer, message.length, Notify.INVAL_INODE, 0, 0)
  writer.i53(node).i53(0).i53(WHOLE_FILE)
  return message
}

/** A length of 0 reaches to the end. */
const WHOLE_FILE = 0
