/** What a file's names and title add to its score: a small part of what its text can reach, except for exact names, which win. */
import { stem } from "../embed/stem.ts"
import { wordsOf } from "../embed/words.ts"
import { pathWords, splitPath } from "../index/path-words.ts"
import type { DocumentRow } from "../index/reader.ts"
import type { ParsedQuery } from "./parse.ts"

/** The most that names add to a score when none is exact. */
export const NAME_WEIGHT = 0.15
/** Words in the directories' names count less: they hold for all that is below. */
const DIRECTORY_PART = 0.4
/** More than the words and the meaning of another file together. */
const EXACT_NAME = 1.2

export interface NameScore {
  /** How much of the query is in the names: 0 to 1. */
  readonly coverage: number
  readonly isExact: boolean
  readonly score: number
}

export function nameScore(
  query: ParsedQuery,
  { paths, title }: Pick<DocumentRow, "paths" | "title">,
): NameScore {
  const parts = paths.map(splitPath)
  const wanted = new Set([...query.words, ...query.phrases.flat()].map(stem))
  const near = stems([...parts.map(({ name }) => pathWords(name)), title])
  const far = stems(parts.map(({ directory }) => pathWords(directory)))
  let covered = 0
  for (const word of wanted) covered += near.has(word) ? 1 : far.has(word) ? DIRECTORY_PART : 0
  const coverage = wanted.size === 0 ? 0 : covered / wanted.size
  const isExact = isExactName(query.text, paths)
  return { coverage, isExact, score: NAME_WEIGHT * coverage + (isExact ? EXACT_NAME : 0) }
}

const stems = (texts: readonly string[]): Set<string> => new Set(wordsOf(texts.join(" ")).map(stem))

/** The query is a name, with its extension or without, or the end of a path. */
export function isExactName(text: string, paths: readonly Buffer[]): boolean {
  const wanted = text.trim().replace(/^\/+/, "").toLowerCase()
  if (wanted === "") return false
  return paths.some((bytes) => {
    const path = bytes.toString("utf8").toLowerCase()
    const name = path.slice(path.lastIndexOf("/") + 1)
    const bare = name.replace(/(?<=.)\.[^.]*$/, "")
    return path === wanted || path.endsWith(`/${wanted}`) || bare === wanted
  })
}
