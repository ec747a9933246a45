/**
 * What the journal has of requests about encrypted trees: sealed, with the random bytes that the request drew, so that
 * doing it again makes the same keys and with them the same places of names (docs/FORMAT.md §4).
 *
 *   drawn bytes u32 · request bytes u32 · drawn · request · zeroes to a multiple of 32, sealed by `keyring/journal-key.ts`
 */
import { Fault } from "../core/fault.ts"
import { JOURNAL_OVERHEAD, JournalKey, sealerOf } from "../../keyring/journal-key.ts"
import { within } from "../../keyring/primitives.ts"
import { copySecret, randomSecret, wipe } from "../../keyring/secret.ts"
import { FILE_KEY_DRAW, type TreeKey } from "../../keyring/tree-key.ts"

/** As that of names, so that the lengths of entries tell as little. */
const PADDING = 32
const HEAD = 8
/** New files that one request may make: a rename makes one at most, where it leaves a whiteout. */
const MOST_DRAWS = 2

/** By how much the entry of a sealed request may be longer than the request. */
export const SEALED_ROOM = JOURNAL_OVERHEAD + HEAD + MOST_DRAWS * FILE_KEY_DRAW + PADDING

/**
 * Makes what the journal is to have of a request, the first `length` bytes of `request`; `place`: of the entry. Valid until it
 * makes the next.
 */
export type SealEntry = (place: Uint8Array, request: Buffer, length: number) => Buffer

/** Randomness of changes: new, or what the journal has for a change that is made again. */
export class Draws {
  readonly #drawn: Buffer[] = []
  /** What is drawn is kept for the journal. */
  #isNoting = false
  /** Of an entry that is being executed again: what is left of it. */
  #given: Buffer | undefined

  /** A request begins; `isNoting`: the journal will have what it draws. */
  begin(isNoting: boolean): void {
    wipe(...this.#drawn.splice(0))
    this.#isNoting = isNoting
  }

  /** `length` random bytes, for the caller to wipe. */
  take(length: number): Buffer {
    if (this.#given !== undefined) return this.#again(this.#given, length)
    const bytes = randomSecret(length)
    if (this.#isNoting) this.#drawn.push(copySecret(bytes))
    return bytes
  }

  #again(given: Buffer, length: number): Buffer {
    if (given.length < length) throw new Fault("corrupt", "an entry of the journal lacks a file's key")
    this.#given = given.subarray(length)
    return copySecret(given.subarray(0, length))
  }

  /** Runs `change` with what it drew when it was made first. */
  again(given: Buffer, change: () => void): void {
    this.#given = given
    try {
      change()
    } finally {
      this.#given = undefined
    }
  }

  get drawn(): readonly Buffer[] {
    return this.#drawn
  }
}

/** Where requests are put together and sealed: most are no longer. Nothing of a request stays in the first (`JournalKey.seal`). */
const ROOM = 16 * 1024
let rooms: { readonly plain: Buffer; readonly sealed: Buffer } | undefined

/** Seals a request that has been executed, with what it drew. What is returned is valid until the next call. */
export function sealEntry(
  key: JournalKey,
  drawn: readonly Buffer[],
  place: Uint8Array,
  request: Buffer,
  length: number,
): Buffer {
  const drawnLength = drawn.reduce((sum, bytes) => sum + bytes.length, 0)
  const used = HEAD + drawnLength + length
  rooms ??= { plain: Buffer.allocUnsafeSlow(ROOM), sealed: Buffer.allocUnsafeSlow(ROOM) }
  const plain = within(rooms.plain, Math.ceil(used / PADDING) * PADDING)
  plain.writeUInt32LE(drawnLength, 0)
  plain.writeUInt32LE(length, 4)
  let at = HEAD
  for (const bytes of drawn) at += bytes.copy(plain, at)
  at += request.copy(plain, at, 0, length)
  plain.fill(0, at)
  return key.seal(place, plain, rooms.sealed)
}

/** Opens entries; many in a row have one key. */
export class EntryOpener implements Disposable {
  readonly #treeKeyOf: (id: number, generation: number) => TreeKey | undefined
  #key: JournalKey | undefined

  constructor(treeKeyOf: (id: number, generation: number) => TreeKey | undefined) {
    this.#treeKeyOf = treeKeyOf
  }

  /** Throws `Fault("locked")` while the tree's key is not there, `Fault("corrupt")` for an entry that is not what was sealed. */
  open(place: Uint8Array, entry: Buffer): { readonly drawn: Buffer; readonly request: Buffer } {
    const plain = this.#keyOf(entry).open(place, entry)
    const start = HEAD + plain.readUInt32LE(0)
    const end = start + plain.readUInt32LE(4)
    return { drawn: plain.subarray(HEAD, start), request: plain.subarray(start, end) }
  }

  #keyOf(entry: Buffer): JournalKey {
    if (this.#key?.has(entry) === true) return this.#key
    const { id, generation } = sealerOf(entry)
    const tree = this.#treeKeyOf(id, generation)
    if (tree === undefined) throw lockedEntry()
    this.#key?.[Symbol.dispose]()
    this.#key = JournalKey.of(tree, entry)
    return this.#key
  }

  [Symbol.dispose](): void {
    this.#key?.[Symbol.dispose]()
    this.#key = undefined
  }
}

function lockedEntry(): Fault {
  return new Fault(
    "locked",
    "answered requests wait in the journal for the key of their encrypted tree, as its daemon and supervisor were killed",
    {
      hint: "clawfs mount with --key-file, --passphrase-file, --passphrase-fd or --vault opens the tree first",
    },
  )
}
