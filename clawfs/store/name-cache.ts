/**
 * What names were found to mean, and that they mean nothing: a bounded cache before table `dentry`. A program that makes,
 * renames or removes a file makes the kernel ask for its name first, so most names are wanted twice.
 */
import type { NodeId } from "../core/brand.ts"

export interface Found {
  readonly ino: NodeId
  readonly cookie: number
}

/** About 150 bytes each. */
const CAPACITY = 16_384

export class NameCache {
  /** Directory → name (as latin1: bytes, one to one) → entry, or undefined where there is none. */
  readonly #directories = new Map<number, Map<string, Found | undefined>>()
  #size = 0

  /** `null` when it is not known. */
  get(parent: number, name: Buffer): Found | undefined | null {
    const names = this.#directories.get(parent)
    if (names === undefined) return null
    const key = name.toString("latin1")
    const found = names.get(key)
    return found !== undefined || names.has(key) ? found : null
  }

  set(parent: number, name: Buffer, found: Found | undefined): void {
    const names = this.#namesOf(parent)
    const before = names.size
    names.set(name.toString("latin1"), found)
    this.#size += names.size - before
    if (this.#size > CAPACITY) this.#shrink(parent)
  }

  #namesOf(parent: number): Map<string, Found | undefined> {
    const known = this.#directories.get(parent)
    if (known !== undefined) return known
    const names = new Map<string, Found | undefined>()
    this.#directories.set(parent, names)
    return names
  }

  /** Drops whole directories, the longest known ones first; the one in use last. */
  #shrink(inUse: number): void {
    for (const [parent, names] of this.#directories) {
      if (this.#size <= CAPACITY / 2) return
      if (parent === inUse && this.#directories.size > 1) continue
      this.#directories.delete(parent)
      this.#size -= names.size
    }
  }

  /** Of a directory that goes away. */
  forget(parent: number): void {
    const names = this.#directories.get(parent)
    if (names === undefined) return
    this.#directories.delete(parent)
    this.#size -= names.size
  }

  clear(): void {
    this.#directories.clear()
    this.#size = 0
  }
}
