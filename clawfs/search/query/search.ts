/** A query from text to ranked files: two legs, fusion, names, the best chunk a file and why. */
import { performance } from "node:perf_hooks"
import { setImmediate } from "node:timers/promises"
import { Fault } from "../../core/fault.ts"
import type { ChunkRow, DocumentRow, FoundChunk, IndexReader } from "../index/reader.ts"
import { selectionSql, type SelectionSql } from "../index/selection.ts"
import { WordSearch } from "../index/word-search.ts"
import type { Applied } from "../index/writer.ts"
import { chunkQuery, nameExpression, selectionOf } from "./expression.ts"
import { fuse, type Fusion, type Leg } from "./fuse.ts"
import type { NameScore } from "./names.ts"
import { parseQuery, type ParsedQuery } from "./parse.ts"
import { NAME_CANDIDATES, rankFiles, type RankedFile } from "./rank.ts"
import { snippetOf, type Snippet } from "./snippet.ts"

export type SearchMode = "hybrid" | "words" | "meaning"

/** The leg that finds by meaning: embeds the query and looks for the nearest vectors. */
export interface MeaningLeg {
  /**
   * Up to `count` chunks, best first, of those that are selected. Does not throw for what may fail at any time (an endpoint that
   * is down): `degraded` then says in one sentence what is missing.
   */
  nearest(
    text: string,
    count: number,
    within: SelectionSql | undefined,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly hits: readonly FoundChunk[]; readonly degraded: readonly string[] }>
}

export interface SearchOptions {
  readonly mode?: SearchMode
  /** How many files; 1 to 1,000. */
  readonly limit?: number
  readonly fusion?: Fusion
  /** Only below these paths, besides what the query says itself. */
  readonly below?: readonly Buffer[]
  /** Whether the caller may see the file; what he may not is as if it were not there. */
  readonly visible?: (ino: number) => boolean
  readonly signal?: AbortSignal
  /** Seconds since 1970, for since: and before:; the clock's if left out. */
  readonly now?: number
}

/** Each part of a file's score; their sum is the score. */
export interface ScoreParts {
  /** BM25 and cosine of the best chunk, as they were before fusion. */
  readonly words: number | undefined
  readonly meaning: number | undefined
  readonly fused: number
  readonly secondChunk: number
  readonly name: NameScore
}

export interface SearchResult {
  readonly ino: number
  readonly document: DocumentRow
  readonly score: number
  readonly parts: ScoreParts
  /** The part of the file that fits best; undefined for a file that was found by its name alone and has no text. */
  readonly chunk: Omit<ChunkRow, "text"> | undefined
  readonly snippet: Snippet | undefined
}

export interface SearchAnswer {
  readonly results: readonly SearchResult[]
  /** The mode that was asked for. */
  readonly mode: SearchMode
  /** What was not taken into account, a sentence each. Empty: nothing. */
  readonly degraded: readonly string[]
  readonly applied: Applied | undefined
  readonly milliseconds: number
}

/** Chunks a leg: so many, or so many for each wanted file when that is more. */
const CANDIDATES = 100
const CANDIDATES_A_FILE = 2
/** When the caller may see few of the candidates, more are fetched, up to this many a leg. */
const MOST_CANDIDATES = 51_200
const MOST_RESULTS = 1000
const DEFAULT_RESULTS = 10

interface Legs {
  readonly words: Leg | undefined
  readonly meaning: Leg | undefined
  readonly degraded: readonly string[]
}

export class Searcher {
  readonly #reader: IndexReader
  readonly #words: WordSearch
  readonly #meaning: MeaningLeg | undefined

  constructor(reader: IndexReader, meaning: MeaningLeg | undefined) {
    this.#reader = reader
    this.#words = new WordSearch(reader)
    this.#meaning = meaning
  }

  /** Throws `Fault("invalid")` for a query that means nothing (`parseQuery`) and for a limit out of range. */
  async search(query: string, options: SearchOptions = {}): Promise<SearchAnswer> {
    const started = performance.now()
    const { limit = DEFAULT_RESULTS, mode = "hybrid" } = options
    if (!Number.isInteger(limit) || limit < 1 || limit > MOST_RESULTS)
      throw new Fault("invalid", `the number of results must be 1 to ${MOST_RESULTS}, not ${limit}`)
    const parsed = parseQuery(query, options.now ?? Date.now() / 1000)
    this.#checkTypes(parsed)
    const within = selectionSql(withBelow(parsed, options.below))
    for (let count = Math.max(CANDIDATES, limit * CANDIDATES_A_FILE); ; count *= 4) {
      const legs = await this.#legs(parsed, mode, count, within, options)
      // From here on everything is of one moment.
      const answer = this.#reader.snapshot(() => this.#rank(parsed, legs, within, options))
      const isAll = [legs.words, legs.meaning].every((leg) => leg?.isComplete !== false)
      if (answer.length < limit && !isAll && count < MOST_CANDIDATES) continue
      return {
        results: answer.slice(0, limit),
        ...{ mode, degraded: legs.degraded, applied: this.#reader.applied() },
        milliseconds: performance.now() - started,
      }
    }
  }

  async #legs(
    parsed: ParsedQuery,
    mode: SearchMode,
    count: number,
    within: SelectionSql | undefined,
    options: SearchOptions,
  ): Promise<Legs> {
    const leg = (hits: readonly FoundChunk[], isComplete = hits.length < count): Leg => ({ hits, isComplete })
    const wordsLeg = (): Leg => {
      const query = chunkQuery(parsed)
      const { hits, isComplete } = this.#reader.snapshot(() => this.#words.best(query, within, count))
      return leg(hits, isComplete)
    }
    if (mode === "words" || (mode === "hybrid" && parsed.isLiteral))
      return { words: wordsLeg(), meaning: undefined, degraded: [] }
    if (this.#meaning === undefined)
      return {
        ...{ words: wordsLeg(), meaning: undefined },
        degraded: ["there is no embedder: found by words alone"],
      }
    const nearest = this.#meaning.nearest(parsed.text, count, within, options.signal)
    // The other leg waits for other processes: this one looks for words meanwhile.
    const words = mode === "hybrid" ? setImmediate().then(wordsLeg) : undefined
    const [near, found] = await Promise.all([nearest, words])
    const { hits, degraded } = near
    // An empty list with an excuse is no opinion about the chunks.
    if (hits.length > 0 || degraded.length === 0) return { words: found, meaning: leg(hits), degraded }
    return { words: found ?? wordsLeg(), meaning: undefined, degraded }
  }

  #rank(
    parsed: ParsedQuery,
    legs: Legs,
    within: SelectionSql | undefined,
    { fusion = "min-max", limit = DEFAULT_RESULTS, visible = () => true }: SearchOptions,
  ): SearchResult[] {
    const files = fuse(legs, fusion, visible)
    const names = legs.words === undefined ? [] : this.#names(parsed, within)
    return rankFiles(this.#reader, parsed, { files, names, limit, visible }).map((file) => ({
      ...{ ino: file.ino, document: file.document, score: file.score, parts: partsOf(file) },
      ...this.#shown(parsed, file.ino, file.fused?.best.chunk),
    }))
  }

  #names(parsed: ParsedQuery, within: SelectionSql | undefined): number[] {
    return this.#reader.names(nameExpression(parsed), within, NAME_CANDIDATES).map(({ ino }) => ino)
  }

  #shown(
    parsed: ParsedQuery,
    ino: number,
    chunk: number | undefined,
  ): Pick<SearchResult, "chunk" | "snippet"> {
    const row = chunk === undefined ? this.#reader.chunksOf(ino)[0] : this.#reader.chunk(chunk)
    if (row === undefined) return { chunk: undefined, snippet: undefined }
    const { text, ...place } = row
    const words = [...parsed.words, ...parsed.phrases.flat()]
    return { chunk: place, snippet: snippetOf(text, words, row.firstLine) }
  }

  #checkTypes({ selection: { types = [], notTypes = [] } }: ParsedQuery): void {
    const asked = [...types, ...notTypes]
    if (asked.length === 0) return
    const known = this.#reader.types()
    const unknown = asked.find((type) => !known.includes(type))
    if (unknown !== undefined)
      throw new Fault("invalid", `nothing in the index is of type \`${unknown}\``, {
        hint: known.length === 0 ? "the index is empty" : `there are: ${known.join(", ")}`,
      })
  }
}

function withBelow(
  parsed: ParsedQuery,
  below: readonly Buffer[] | undefined,
): ReturnType<typeof selectionOf> {
  const selection = selectionOf(parsed)
  if (below === undefined) return selection
  const own = selection.below ?? []
  if (own.length === 0) return { ...selection, below }
  // Both must hold: of two directories, one of which is in the other, the inner one.
  const isIn = (inner: Buffer, outer: Buffer): boolean =>
    outer.length === 0 ||
    inner.equals(outer) ||
    inner.subarray(0, outer.length + 1).equals(Buffer.concat([outer, Buffer.from("/")]))
  const both = own.flatMap((a) => below.flatMap((b) => (isIn(a, b) ? [a] : isIn(b, a) ? [b] : [])))
  return { ...selection, below: both.length > 0 ? both : [NOWHERE] }
}

/** No path has a NUL in it. */
const NOWHERE = Buffer.of(0)

function partsOf({ fused, name }: RankedFile): ScoreParts {
  return {
    ...{ words: fused?.best.words, meaning: fused?.best.meaning },
    ...{ fused: fused?.best.score ?? 0, secondChunk: fused?.second ?? 0, name },
  }
}
