/** A parsed query as FTS5 wants it. Every word is quoted, so nothing of it can be taken for syntax. */
import type { Selection } from "../index/selection.ts"
import type { WordQuery } from "../index/word-search.ts"
import type { ParsedQuery } from "./parse.ts"

const phrase = (words: readonly string[]): string => `"${words.join(" ")}"`
const oneOf = (parts: readonly string[]): string => `(${parts.join(" OR ")})`

/** In a chunk: phrases must occur, and any of the words or none when there are phrases. */
export function chunkQuery({ words, compounds, phrases }: ParsedQuery): WordQuery {
  const parts = [
    ...words.map((word) => ({ expression: phrase([word]), word })),
    ...compounds.map((compound) => ({ expression: phrase(compound), word: undefined })),
  ]
  if (phrases.length === 0) return { kind: "any", parts }
  const required = `(${phrases.map(phrase).join(" AND ")})`
  const optional = oneOf(parts.map(({ expression }) => expression))
  const expression = parts.length === 0 ? required : `((${required} AND ${optional}) OR ${required})`
  return { kind: "expression", expression }
}

/** The query's selection with what must, and must not, occur in a file. */
export function selectionOf({ phrases, excluded, selection }: ParsedQuery): Selection {
  return { ...selection, matching: phrases.map(phrase), notMatching: excluded.map(phrase) }
}

/** For the table of names. Any word of the query. */
export function nameExpression({ words, phrases }: ParsedQuery): string {
  return oneOf([...words.map((word) => phrase([word])), ...phrases.map(phrase)])
}
