/**
 * Vectors that a migration has brought along (`system/migrations/RUN/archive`), for chunks of which they have the text, where the model
 * is the one that the store is searched with: those need not be embedded again. The archive is on the mount, so it is not trusted.
 */
import { createHash } from "node:crypto"
import { archivedVectors, type ArchivedSet } from "../../../schema/archived-vectors.ts"
import type { EmbedderConfig } from "../../../schema/search.ts"
import { ROOT_NODE } from "../../core/brand.ts"
import { Fault, describe } from "../../core/fault.ts"
import type { Log } from "../../core/log.ts"
import type { Inode } from "../../store/inode.ts"
import type { Store } from "../../store/store.ts"

const RUNS = ["system", "migrations"]
const MOST_RUNS = 1000
const MOST_MANIFEST = 1024 * 1024
/** Vectors that are looked after: some 100 bytes of memory each. */
const MOST_VECTORS = 1_000_000
const HASH_BYTES = 32
const FLOAT_BYTES = 4

/** A file with vectors, and the hashes of their texts. */
interface Archive {
  readonly vectors: Inode
  readonly hashes: Buffer
}

interface Place {
  readonly archive: Archive
  readonly row: number
}

export class ArchivedVectors {
  readonly #store: Store
  readonly #log: Log
  readonly #config: EmbedderConfig
  /** By the first bytes of a text's hash. */
  readonly #places = new Map<number, Place>()
  /** Files and times of what is loaded. */
  #state = ""
  /** The feed's last change when it was looked for archives. */
  #seen = -1

  constructor(store: Store, config: EmbedderConfig, log: Log) {
    this.#store = store
    this.#config = config
    this.#log = log
  }

  /** For each text its vector, undefined where there is none. */
  find(texts: readonly string[]): (Float32Array | undefined)[] {
    const { provider } = this.#config
    if (provider !== "http") return texts.map(() => undefined)
    try {
      return this.#store.view(() => {
        this.#load()
        return texts.map((text) => this.#vectorOf(text))
      })
    } catch (thrown) {
      // Damaged, locked, or changed meanwhile: the texts are embedded like all others.
      if (!(thrown instanceof Fault) || thrown.kind === "bug") throw thrown
      this.#log.info("archived vectors can't be read", { reason: describe(thrown) })
      this.#places.clear()
      return texts.map(() => undefined)
    }
  }

  #vectorOf(text: string): Float32Array | undefined {
    if (this.#places.size === 0 || !("dimensions" in this.#config)) return undefined
    const hash = createHash("sha256").update(text.trim()).digest()
    const place = this.#places.get(numberOf(hash))
    if (place === undefined) return undefined
    const { archive, row } = place
    const recorded = archive.hashes.subarray(row * HASH_BYTES, (row + 1) * HASH_BYTES)
    if (!recorded.equals(hash)) return undefined
    const bytes = Buffer.from(new ArrayBuffer(this.#config.dimensions * FLOAT_BYTES))
    this.#store.contents.read(archive.vectors, row * bytes.length, bytes.length, bytes, 0)
    const vector = new Float32Array(bytes.buffer)
    return vector.every(Number.isFinite) && vector.some((x) => x !== 0) ? vector : undefined
  }

  #load(): void {
    const { last } = this.#store.feed.position
    if (last === this.#seen) return
    this.#seen = last
    const found = this.#directories().flatMap((directory) => this.#setsIn(directory))
    const state = found.map(({ key }) => key).join("\n")
    if (state === this.#state) return
    this.#state = state
    this.#places.clear()
    for (const { set, vectors, texts } of found) this.#take(set, vectors, texts)
    this.#log.info("archived vectors are used", { vectors: this.#places.size })
  }

  #take({ rows }: ArchivedSet, vectors: Inode, texts: Inode): void {
    if (this.#places.size + rows > MOST_VECTORS) {
      this.#log.info("more archived vectors than are looked after", { rows, most: MOST_VECTORS })
      return
    }
    const archive = { vectors, hashes: this.#bytesOf(texts) }
    for (let row = 0; row < rows; row += 1)
      this.#places.set(numberOf(archive.hashes.subarray(row * HASH_BYTES)), { archive, row })
  }

  /** The runs' archives. */
  #directories(): Inode[] {
    let runs = this.#store.inodes.get(ROOT_NODE)
    for (const name of RUNS) runs = this.#child(runs, name)
    if (runs === undefined) return []
    return this.#store.dentries.list(runs.ino, 0, MOST_RUNS).flatMap(({ ino }) => {
      const archive = this.#child(this.#store.inodes.get(ino), "archive")
      return archive === undefined ? [] : [archive]
    })
  }

  #setsIn(directory: Inode): { set: ArchivedSet; vectors: Inode; texts: Inode; key: string }[] {
    const manifest = this.#child(directory, "vectors.json")
    if (manifest?.isRegular !== true || manifest.size > MOST_MANIFEST) return []
    const parsed = archivedVectors.safeParse(jsonOf(this.#bytesOf(manifest)))
    return (parsed.data?.sets ?? []).flatMap((set) => {
      if (!this.#agrees(set)) return []
      const [vectors, texts] = [this.#child(directory, set.vectors), this.#child(directory, set.texts)]
      const isWhole =
        vectors?.isRegular === true &&
        texts?.isRegular === true &&
        vectors.size === set.rows * set.dimensions * FLOAT_BYTES &&
        texts.size === set.rows * HASH_BYTES
      if (!isWhole) return []
      const key = [manifest, vectors, texts].map(({ ino, ctime, ctimeNanos }) =>
        [ino, ctime, ctimeNanos].join(" "),
      )
      return [{ set, vectors, texts, key: key.join(",") }]
    })
  }

  /** Texts that get a prefix before they are embedded are not those that IronClaw embedded. */
  #agrees({ model, dimensions }: ArchivedSet): boolean {
    const config = this.#config
    if (config.provider !== "http" || model === null || config.documentPrefix !== "") return false
    return plain(model) === plain(config.model) && dimensions === config.dimensions
  }

  #child(directory: Inode | undefined, name: string): Inode | undefined {
    if (directory?.isDirectory !== true || this.#store.sealing.isEncrypted(directory)) return undefined
    const entry = this.#store.dentries.find(directory.ino, Buffer.from(name))
    const inode = entry === undefined ? undefined : this.#store.inodes.get(entry.ino)
    // The store forgets its own one.
    return inode === undefined || this.#store.sealing.isEncrypted(inode) ? undefined : copyOf(inode)
  }

  #bytesOf(inode: Inode): Buffer {
    const bytes = Buffer.alloc(inode.size)
    this.#store.contents.read(inode, 0, bytes.length, bytes, 0)
    return bytes
  }
}

/** Ollama's name of the model that it takes without one. */
const plain = (model: string): string => model.replace(/:latest$/, "")

const numberOf = (hash: Buffer): number => hash.readUIntBE(0, 6)

function copyOf(inode: Inode): Inode {
  return Object.assign(Object.create(Object.getPrototypeOf(inode) as object), inode) as Inode
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
}
