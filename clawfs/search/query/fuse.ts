/**
 * From the hits of two legs to one score a chunk, and from chunks to files. Min-max keeps the margin by which an exact match wins,
 * which rank fusion throws away (measured: shared/reference/search.md §4 of the project, docs/SEARCH.md "Ranking").
 */
import type { FoundChunk } from "../index/reader.ts"

export type Fusion = "min-max" | "rrf"

const WORDS_WEIGHT = 0.6
const MEANING_WEIGHT = 0.4
/** Cormack, Clarke and Büttcher 2009. */
const RRF_K = 60
/** A second chunk that is as good as the best one adds a tenth: long files must not win by length. */
const SECOND_WEIGHT = 0.1

/** Hits of one leg, best first. */
export interface Leg {
  readonly hits: readonly FoundChunk[]
  /** There are no more: what is not among them has the score 0. */
  readonly isComplete: boolean
}

export interface FusedChunk {
  readonly chunk: number
  readonly ino: number
  /** As the leg gave it; undefined when it did not find the chunk. */
  readonly words: number | undefined
  readonly meaning: number | undefined
  /** 0 to 1. */
  readonly score: number
}

export interface FusedFile {
  readonly ino: number
  readonly best: FusedChunk
  /** What the second best chunk adds. */
  readonly second: number
  readonly score: number
}

/**
 * Files, best first. With one leg its scores alone count. Scores are as if the hits that the caller may not see were not there; with
 * min-max such files are still among the answer, as most are never looked at: whoever takes a file from it asks `visible` first.
 */
export function fuse(
  found: { readonly words: Leg | undefined; readonly meaning: Leg | undefined },
  method: Fusion,
  visible: (ino: number) => boolean,
): FusedFile[] {
  const seen = (leg: Leg | undefined): Leg | undefined =>
    leg && {
      ...leg,
      hits: method === "rrf" ? leg.hits.filter(({ ino }) => visible(ino)) : between(leg.hits, visible),
    }
  const words = seen(found.words)
  const meaning = seen(found.meaning)
  const weights =
    words === undefined ? [0, 1] : meaning === undefined ? [1, 0] : [WORDS_WEIGHT, MEANING_WEIGHT]
  const chunks = new Map<number, FusedChunk>()
  for (const [which, leg] of [words, meaning].entries()) {
    const scores = leg === undefined ? [] : method === "rrf" ? ranks(leg) : minMax(leg)
    for (const [i, { chunk, ino, score }] of (leg?.hits ?? []).entries()) {
      const before = chunks.get(chunk)
      chunks.set(chunk, {
        ...{ chunk, ino },
        words: which === 0 ? score : before?.words,
        meaning: which === 1 ? score : before?.meaning,
        score: (before?.score ?? 0) + (weights[which] ?? 0) * (scores[i] ?? 0),
      })
    }
  }
  return files([...chunks.values()])
}

/** Without those in front of the first visible hit and behind the last: a min-max score depends on no others. */
function between(hits: readonly FoundChunk[], visible: (ino: number) => boolean): readonly FoundChunk[] {
  const isSeen = ({ ino }: FoundChunk): boolean => visible(ino)
  const first = hits.findIndex(isSeen)
  return first === -1 ? [] : hits.slice(first, hits.findLastIndex(isSeen) + 1)
}

function minMax({ hits, isComplete }: Leg): number[] {
  const highest = hits[0]?.score ?? 0
  const lowest = isComplete ? 0 : Math.max(0, hits.at(-1)?.score ?? 0)
  const range = highest - lowest
  return hits.map(({ score }) => (range > 0 ? Math.max(0, score - lowest) / range : 1))
}

/** 1 for the first. */
const ranks = ({ hits }: Leg): number[] => hits.map((_, i) => (RRF_K + 1) / (RRF_K + 1 + i))

function files(chunks: FusedChunk[]): FusedFile[] {
  const best = new Map<number, [FusedChunk, FusedChunk | undefined]>()
  for (const chunk of chunks.sort(byScore)) {
    const known = best.get(chunk.ino)
    if (known === undefined) best.set(chunk.ino, [chunk, undefined])
    else known[1] ??= chunk
  }
  return [...best]
    .map(([ino, [first, next]]) => {
      const second = SECOND_WEIGHT * (next?.score ?? 0)
      return { ino, best: first, second, score: first.score + second }
    })
    .sort((a, b) => b.score - a.score || a.ino - b.ino)
}

const byScore = (a: FusedChunk, b: FusedChunk): number => b.score - a.score || a.chunk - b.chunk
