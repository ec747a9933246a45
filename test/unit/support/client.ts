/**
 * A program and the kernel above it: random requests that make sense, about nodes that the server gave out and that the
 * kernel still holds, with the kernel's own count of what it holds.
 */
import { Opcode } from "../../../clawfs/fuse/abi.ts"
import type { Random } from "./random.ts"
import { request, unpack, validBody, words, z } from "./requests.ts"

const O = Opcode
type Some<T> = readonly [T, ...T[]]

/** What a busy program asks for, the more often the more it changes. */
const BUSY: Some<keyof typeof Opcode> = [
  ...([
    "LOOKUP",
    "LOOKUP",
    "SETATTR",
    "SYMLINK",
    "MKNOD",
    "MKNOD",
    "MKDIR",
    "LINK",
    "CREATE",
    "TMPFILE",
  ] as const),
  ...([
    "UNLINK",
    "RMDIR",
    "RENAME",
    "RENAME",
    "RENAME2",
    "READ",
    "WRITE",
    "WRITE",
    "WRITE",
    "FALLOCATE",
  ] as const),
  ...([
    "COPY_FILE_RANGE",
    "SETXATTR",
    "REMOVEXATTR",
    "GETXATTR",
    "LISTXATTR",
    "READDIR",
    "READDIRPLUS",
  ] as const),
  ...(["FORGET", "BATCH_FORGET", "LSEEK", "IOCTL", "GETATTR", "READLINK", "FSYNC", "STATX"] as const),
]
const MAKES: readonly number[] = [O.LOOKUP, O.SYMLINK, O.MKNOD, O.MKDIR, O.LINK, O.CREATE, O.TMPFILE]
const NAMES: Some<string> = ["a", "b", "c", "d", "e", "x".repeat(255)]
const OFFSETS: Some<number> = [0, 1, 5, 4095, 4096, 10_000, 16_384, 131_072, 200_000]
const LENGTHS: Some<number> = [1, 100, 4096, 5000, 20_000, 140_000]
const XATTRS: Some<string> = ["user.a", "user.b", "trusted.a", "security.a", "user.", "system.x"]
const RENAMES: Some<number> = [0, 1, 2, 4]
const FALLOCATES: Some<number> = [0, 1, 3, 16, 17, 64]
const GETFLAGS = 0x8008_6601
const SETFLAGS = 0x4008_6602
const NODUMP = 0x40
/** Mostly none, then NODUMP, APPEND and IMMUTABLE. */
const INODE_FLAGS: Some<number> = [0, 0, 0, NODUMP, 0x20, 0x10]
const HELD_MAX = 24
const ROOT = 1

export class Client {
  readonly #random: Random
  readonly #kinds: Some<keyof typeof Opcode>
  /** How many lookups of each node the server has handed out and not got back. */
  readonly held = new Map<number, number>([[ROOT, 1]])
  #unique = 2n

  /** `without` leaves kinds of requests out. */
  constructor(random: Random, without: readonly (keyof typeof Opcode)[] = []) {
    this.#random = random
    const [first = "LOOKUP", ...rest] = BUSY.filter((kind) => !without.includes(kind))
    this.#kinds = [first, ...rest]
  }

  #node(): bigint {
    const nodes = [...this.held.keys()]
    return BigInt(this.#random.below(3) === 0 ? ROOT : (nodes[this.#random.below(nodes.length)] ?? ROOT))
  }

  /** Takes in a successful reply: which nodes it hands out. */
  hear(message: Buffer, payload: Buffer): void {
    const opcode = message.readUInt32LE(4)
    if (MAKES.includes(opcode)) this.#hold(Number(payload.readBigUInt64LE(0)))
    if (opcode === O.READDIRPLUS) for (const { node } of unpack(payload, true)) this.#hold(node)
  }

  #hold(node: number): void {
    if (node !== 0) this.held.set(node, (this.held.get(node) ?? 0) + 1)
  }

  ask(): Buffer {
    const random = this.#random
    this.#unique += 2n
    const kind = this.held.size > HELD_MAX ? "FORGET" : random.pick(this.#kinds)
    if (kind === "FORGET" || kind === "BATCH_FORGET") return this.#forget(kind)
    const head = { node: this.#node(), unique: this.#unique, uid: random.below(2) * 1000 }
    return request(O[kind], this.#bodies(kind, head.node), head)
  }

  /** The kernel gives all its lookups of a node back at once. */
  #forget(kind: "FORGET" | "BATCH_FORGET"): Buffer {
    const unique = this.#unique
    const gone = [...this.held].filter(([node]) => node !== ROOT && this.#random.below(3) === 0)
    const some = kind === "FORGET" ? gone.slice(0, 1) : gone
    for (const [node] of some) this.held.delete(node)
    const [first = [ROOT, 0]] = some
    if (kind === "FORGET") return request(O.FORGET, [words(BigInt(first[1]))], { node: first[0], unique })
    const pairs = some.map(([node, count]) => words(BigInt(node), BigInt(count)))
    return request(O.BATCH_FORGET, [words(some.length, 0), ...pairs], { unique })
  }

  #bodies(kind: keyof typeof Opcode, node: bigint): Buffer[] {
    const random = this.#random
    const [offset, length] = [BigInt(random.pick(OFFSETS)), random.pick(LENGTHS)]
    const name = (): Buffer => z(random.pick(NAMES))
    const usual = validBody(O[kind], this.#node())
    const [first = Buffer.alloc(0)] = usual
    switch (kind) {
      case "LOOKUP":
      case "UNLINK":
      case "RMDIR":
        return [name()]
      case "SYMLINK":
        return [name(), z("target")]
      case "MKNOD":
      case "MKDIR":
      case "LINK":
      case "CREATE":
      case "TMPFILE":
        return [first, name()]
      case "RENAME":
        return [first, name(), name()]
      case "RENAME2":
        return [words(this.#node(), random.pick(RENAMES), 0), name(), name()]
      case "WRITE":
        return [
          words(0n, offset, length, random.below(2) * 4, 0n, 0, 0),
          Buffer.alloc(length, 1 + random.below(255)),
        ]
      case "READ":
      case "READDIR":
      case "READDIRPLUS":
        return [words(0n, kind === "READ" ? offset : 0n, length, 0, 0n, 0, 0)]
      case "FALLOCATE":
        return [words(0n, offset, BigInt(length), random.pick(FALLOCATES), 0)]
      case "COPY_FILE_RANGE":
        return [this.#copy(node, offset, length)]
      case "SETATTR":
        return [this.#setattr(offset)]
      case "SETXATTR":
        return [
          words(length % 300, random.below(3), 0, 0),
          z(random.pick(XATTRS)),
          random.bytes(length % 300),
        ]
      case "GETXATTR":
        return [words(300, 0), z(random.pick(XATTRS))]
      case "REMOVEXATTR":
        return [z(random.pick(XATTRS))]
      case "LSEEK":
        return [words(0n, offset, 3 + random.below(2), 0)]
      case "IOCTL":
        return [words(0n, 0, random.pick([GETFLAGS, SETFLAGS]), 0n, 8, 28), words(this.#flags(node), 0)]
      default:
        return usual
    }
  }

  /** Protection now and then, but not for the root: nothing would happen any more. */
  #flags(node: bigint): number {
    return node === BigInt(ROOT) ? NODUMP : this.#random.pick(INODE_FLAGS)
  }

  /** The kernel never lets a range of one file overlap itself. */
  #copy(source: bigint, offset: bigint, length: number): Buffer {
    const target = this.#node()
    const to = target === source ? 400_000n : BigInt(this.#random.pick(OFFSETS))
    return words(0n, offset, target, 0n, to, BigInt(length), 0n)
  }

  #setattr(size: bigint): Buffer {
    const random = this.#random
    const mode = random.below(0o10000)
    return words(
      random.below(4096),
      0,
      0n,
      size,
      0n,
      1n,
      2n,
      3n,
      4,
      5,
      6,
      mode,
      0,
      random.below(3),
      random.below(3),
      0,
    )
  }
}
