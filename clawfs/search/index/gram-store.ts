/**
 * The gram index in the database: which documents may contain a string. Documents get numbers that are never used again, and wait
 * in `gram_pending` until there are enough for a segment of pages; segments are merged eight at a time, up to a size at which a
 * merge takes half a second. Documents that are gone stay in segments until those are merged: nothing has their number then.
 */
import { present } from "../../core/assert.ts"
import type { Database, Query } from "../../store/database.ts"
import { unpackAscending, VarintReader } from "./grams.ts"
import { mergedPage, PAGE_COUNT, pagesOf } from "./gram-pages.ts"

/** What a segment is made of at first, whichever is reached first. */
const PENDING_DOCUMENTS = 1024
const PENDING_BYTES = 4 * 2 ** 20
const MERGED_AT_ONCE = 8
/** Segments of this tier (1,024 · 8² documents) are not merged further. */
const TOP_TIER = 2

interface Segment {
  readonly id: number
  readonly tier: number
  readonly documents: number
  readonly first: number
  readonly last: number
}

export class GramStore {
  readonly #db: Database
  readonly #add: Query<[number, Buffer]>
  readonly #lastNumber: Query<[], [number]>
  readonly #removePending: Query<[number]>
  readonly #waiting: Query<[], [number, number]>
  readonly #pending: Query<[], [number, Buffer]>
  readonly #insertSegment: Query<[number, number, number, number], [number]>
  readonly #insertPage: Query<[number, number, Buffer]>
  readonly #page: Query<[number, number], [Buffer]>
  readonly #live: Query<[number, number], [number]>
  /** What is in `gram_pending`; undefined: not known. */
  #waitingNow: { documents: number; bytes: number } | undefined

  constructor(db: Database) {
    this.#db = db
    this.#add = db.query("INSERT INTO gram_pending (number, grams) VALUES (?, ?)")
    this.#lastNumber = db.query("SELECT seq FROM sqlite_sequence WHERE name = 'gram_pending'")
    this.#removePending = db.query("DELETE FROM gram_pending WHERE number = ?")
    this.#waiting = db.query("SELECT count(*), coalesce(sum(length(grams)), 0) FROM gram_pending")
    this.#pending = db.query("SELECT number, grams FROM gram_pending ORDER BY number")
    this.#insertSegment = db.query(
      "INSERT INTO gram_segment (tier, documents, first, last) VALUES (?, ?, ?, ?) RETURNING id",
    )
    this.#insertPage = db.query("INSERT INTO gram_page (segment, page, postings) VALUES (?, ?, ?)")
    this.#page = db.query("SELECT postings FROM gram_page WHERE segment = ? AND page = ?")
    this.#live = db.query("SELECT grams FROM document WHERE grams BETWEEN ? AND ?")
  }

  /** Takes a document's number (0: none) away and gives its new text one; 0 for one without grams (packed). */
  replace(before: number, grams: Uint8Array): number {
    if (before > 0 && this.#removePending.run(before) > 0) this.#waitingNow = undefined
    if (grams.length === 0) return 0
    let waiting = (this.#waitingNow ??= this.#countWaiting())
    // Before the new one is put in, as its document row has no number yet.
    if (waiting.documents >= PENDING_DOCUMENTS || waiting.bytes >= PENDING_BYTES) {
      this.#flush()
      waiting = this.#waitingNow = { documents: 0, bytes: 0 }
    }
    waiting.documents += 1
    waiting.bytes += grams.length
    // Not RETURNING, for the reason in chunk-rows.ts.
    const number = (this.#lastNumber.get()?.[0] ?? 0) + 1
    this.#add.run(number, Buffer.from(grams.buffer, grams.byteOffset, grams.length))
    return number
  }

  /** After a rollback. */
  forget(): void {
    this.#waitingNow = undefined
  }

  #countWaiting(): { documents: number; bytes: number } {
    const [documents, bytes] = this.#waiting.get() ?? [0, 0]
    return { documents, bytes }
  }

  /** Merges once, if there is something to merge; in a transaction. Returns whether it did. */
  merge(): boolean {
    const segments = this.#db
      .query<[], [number, number, number, number, number]>(
        "SELECT id, tier, documents, first, last FROM gram_segment ORDER BY first",
      )
      .all()
      .map(([id, tier, documents, first, last]) => ({ id, tier, documents, first, last }))
    for (let tier = 0; tier < TOP_TIER; tier++) {
      const same = segments.filter((segment) => segment.tier === tier)
      if (same.length >= MERGED_AT_ONCE) return this.#rewrite(same.slice(0, MERGED_AT_ONCE), tier + 1)
    }
    const worn = segments.find(
      ({ tier, documents, first, last }) =>
        tier === TOP_TIER && this.#live.all(first, last).length < documents / 2,
    )
    return worn !== undefined && this.#rewrite([worn], TOP_TIER)
  }

  #flush(): void {
    const documents = this.#pending
      .all()
      .map(([number, grams]) => [number, unpackAscending(new VarintReader(grams))] as const)
    const [first] = documents[0] ?? [0]
    const [last] = documents.at(-1) ?? [0]
    const segment = this.#newSegment(0, documents.length, first, last)
    for (const [page, postings] of pagesOf(documents)) this.#insertPage.run(segment, page, postings)
    this.#db.execute("DELETE FROM gram_pending")
  }

  #rewrite(segments: readonly Segment[], tier: number): true {
    const first = Math.min(...segments.map((segment) => segment.first))
    const last = Math.max(...segments.map((segment) => segment.last))
    const live = new Set(this.#live.all(first, last).map(([number]) => number))
    if (live.size > 0) {
      const merged = this.#newSegment(tier, live.size, first, last)
      for (let page = 0; page < PAGE_COUNT; page++) {
        const pages = segments.flatMap(({ id }) => this.#page.get(id, page) ?? [])
        const postings = mergedPage(pages, (number) => live.has(number))
        if (postings.length > 0) this.#insertPage.run(merged, page, postings)
      }
    }
    for (const { id } of segments)
      this.#db.execute(
        `DELETE FROM gram_page WHERE segment = ${id}; DELETE FROM gram_segment WHERE id = ${id}`,
      )
    return true
  }

  #newSegment(tier: number, documents: number, first: number, last: number): number {
    const [id] = present(this.#insertSegment.get(tier, documents, first, last), "the new segment's id")
    return id
  }
}
