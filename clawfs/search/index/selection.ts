/** Which documents a search is confined to, as SQL over `document` and `path`. */
import type { Value } from "../../store/database.ts"
import { rangeBelow } from "./path-words.ts"

/** All parts must hold; within a part one value must. */
export interface Selection {
  /** Only files at or below one of these paths, from the root, without a slash in front. */
  readonly below?: readonly Buffer[]
  readonly notBelow?: readonly Buffer[]
  /** Lower case, without the dot. */
  readonly extensions?: readonly string[]
  readonly notExtensions?: readonly string[]
  /** Kinds of text or names of extractors. */
  readonly types?: readonly string[]
  readonly notTypes?: readonly string[]
  /** Changed at or after, before: seconds since 1970. */
  readonly since?: number
  readonly before?: number
  /** FTS5 expressions that a chunk of the file must match, each; and that none may. */
  readonly matching?: readonly string[]
  readonly notMatching?: readonly string[]
}

export interface SelectionSql {
  /** A query that gives inode numbers; undefined: all. */
  readonly sql: string
  readonly parameters: readonly Value[]
}

/** Undefined when the selection leaves nothing out. */
export function selectionSql(selection: Selection): SelectionSql | undefined {
  const parameters: Value[] = []
  const conditions: string[] = []
  const add = (condition: string, ...values: Value[]): void => {
    conditions.push(condition)
    parameters.push(...values)
  }
  addPaths(selection, add)
  const { types = [], notTypes = [], since, before } = selection
  if (types.length > 0)
    add(`(kind IN (${marks(types)}) OR extractor IN (${marks(types)}))`, ...types, ...types)
  if (notTypes.length > 0)
    add(
      `kind NOT IN (${marks(notTypes)}) AND extractor NOT IN (${marks(notTypes)})`,
      ...notTypes,
      ...notTypes,
    )
  if (since !== undefined) add("mtime >= ?", since)
  if (before !== undefined) add("mtime < ?", before)
  const matches = "IN (SELECT c.ino FROM chunk_fts f JOIN chunk c ON c.id = f.rowid WHERE chunk_fts MATCH ?)"
  for (const expression of selection.matching ?? []) add(`ino ${matches}`, expression)
  for (const expression of selection.notMatching ?? []) add(`ino NOT ${matches}`, expression)
  if (conditions.length === 0) return undefined
  return { sql: `SELECT ino FROM document WHERE ${conditions.join(" AND ")}`, parameters }
}

type Add = (condition: string, ...values: Value[]) => void

function addPaths(
  { below = [], notBelow = [], extensions = [], notExtensions = [] }: Selection,
  add: Add,
): void {
  const inPaths = (paths: readonly Buffer[], not: string): void => {
    const each = paths.map(() => "path = ? OR path >= ? AND path < ?").join(" OR ")
    const values = paths.flatMap((path) => [path, rangeBelow(path).first, rangeBelow(path).end])
    add(`ino ${not}IN (SELECT ino FROM path WHERE ${each})`, ...values)
  }
  if (below.length > 0) inPaths(below, "")
  if (notBelow.length > 0) inPaths(notBelow, "NOT ")
  const inExtensions = (values: readonly string[], not: string): void =>
    add(`ino ${not}IN (SELECT ino FROM path WHERE extension IN (${marks(values)}))`, ...values)
  if (extensions.length > 0) inExtensions(extensions, "")
  if (notExtensions.length > 0) inExtensions(notExtensions, "NOT ")
}

const marks = (values: readonly unknown[]): string => values.map(() => "?").join(", ")
