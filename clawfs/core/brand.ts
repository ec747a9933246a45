/**
 * Nominal number types. A brand costs nothing at run time; it keeps an inode number from being passed where a
 * file handle or an errno is meant.
 */
declare const brand: unique symbol

export type Brand<T, Name extends string> = T & { readonly [brand]: Name }

/**
 * Names a file to the kernel and in the store: the inode number itself, so that a restarted server understands every
 * id that its predecessor handed out. Minted by `Inodes.allocate`, never reused, below 2^53. The root is 1. Ids from
 * `FIRST_VIRTUAL_NODE` upwards are made up for one lookup (`.status`) and exist in memory only.
 */
export type NodeId = Brand<number, "NodeId">

export const ROOT_NODE = 1 as NodeId

/** Far above any inode number that a store can reach in its life (2^52), and still an exact double. */
export const FIRST_VIRTUAL_NODE = 2 ** 52

export function isVirtual(node: NodeId): boolean {
  return node >= FIRST_VIRTUAL_NODE
}
