/** Tables `path` and `path_fts`: the names of an inode, and their words. */
import type { Database, Query } from "../../store/database.ts"
import { extensionOf, pathWords, rangeBelow, splitPath } from "./path-words.ts"

export class PathRows {
  readonly #ofInode: Query<[number], [Buffer]>
  readonly #at: Query<[Buffer], [number]>
  readonly #below: Query<[Buffer, Buffer], [Buffer, number]>
  readonly #put: Query<[Buffer, number, string]>
  readonly #delete: Query<[Buffer]>
  readonly #title: Query<[number], [string]>
  readonly #insertWords: Query<[number, string, string, string]>
  readonly #deleteWords: Query<[number]>

  constructor(db: Database) {
    this.#ofInode = db.query("SELECT path FROM path WHERE ino = ? ORDER BY path")
    this.#at = db.query("SELECT ino FROM path WHERE path = ?")
    this.#below = db.query("SELECT path, ino FROM path WHERE path >= ? AND path < ? ORDER BY path")
    this.#put = db.query("INSERT INTO path (path, ino, extension) VALUES (?, ?, ?)")
    this.#delete = db.query("DELETE FROM path WHERE path = ?")
    this.#title = db.query("SELECT title FROM document WHERE ino = ?")
    this.#insertWords = db.query("INSERT INTO path_fts (rowid, name, directory, title) VALUES (?, ?, ?, ?)")
    this.#deleteWords = db.query("DELETE FROM path_fts WHERE rowid = ?")
  }

  set(ino: number, paths: readonly Buffer[]): void {
    const wanted = new Map(paths.map((path) => [path.toString("latin1"), path]))
    const touched = new Set([ino])
    for (const [path] of this.#ofInode.all(ino))
      if (!wanted.delete(path.toString("latin1"))) this.#delete.run(path)
    for (const path of wanted.values()) this.#name(path, ino, touched)
    for (const each of touched) this.refresh(each)
  }

  move(from: Buffer, to: Buffer): number {
    const { first, end } = rangeBelow(from)
    const [own] = this.#at.get(from) ?? []
    const rows: [Buffer, number][] = own === undefined ? [] : [[from, own]]
    for (const row of this.#below.all(first, end)) rows.push(row)
    const touched = new Set<number>()
    for (const [path] of rows) this.#delete.run(path)
    for (const [path, ino] of rows) {
      touched.add(ino)
      this.#name(Buffer.concat([to, path.subarray(from.length)]), ino, touched)
    }
    for (const ino of touched) this.refresh(ino)
    return rows.length
  }

  /** Writes the words of an inode's names and title anew. */
  refresh(ino: number): void {
    this.#deleteWords.run(ino)
    const parts = this.#ofInode.all(ino).map(([path]) => splitPath(path))
    if (parts.length === 0) return
    const [title = ""] = this.#title.get(ino) ?? []
    const words = (texts: readonly string[]): string => texts.map(pathWords).join(" ")
    this.#insertWords.run(
      ino,
      words(parts.map(({ name }) => name)),
      words(parts.map(({ directory }) => directory)),
      title,
    )
  }

  #name(path: Buffer, ino: number, touched: Set<number>): void {
    const [other] = this.#at.get(path) ?? []
    if (other !== undefined) {
      touched.add(other)
      this.#delete.run(path)
    }
    this.#put.run(path, ino, extensionOf(path))
  }
}
