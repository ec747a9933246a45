/**
 * What tells whether rows have changed, computed by the server, so that what has not need not come over: a hash of everything that
 * is in a row, and whether a transaction has written it since a moment.
 */
import { shortHash } from "../names.ts"
import type { Column } from "./catalog.ts"

/** Of what files are made of rows: with another number, every file is compared anew. */
const FORMAT = "1"
const DIGITS = 32
/** Transactions' numbers have 32 bits in rows, and go round. */
const ROUND = 1n << 32n

const sha256 = (bytes: string): string => `encode(sha256(${bytes}), 'hex')`
const ofText = (text: string): string => sha256(`convert_to(${text}, 'UTF8')`)

/** SQL of a hash over columns of the table `t`; `more`: SQL of other texts that belong to the row. */
export function rowHash(columns: readonly Column[], more: readonly string[] = []): string {
  const parts = columns
    .filter(({ isVector }) => !isVector)
    .map(({ bytes, isWide, expression }) => {
      if (bytes !== undefined) return sha256(bytes)
      // Long values one by one: all of them in one text could be longer than one may be.
      return isWide ? ofText(expression) : expression
    })
  // Quoted, so that no two rows have one text.
  const quoted = [...parts, ...more].map((part) => `quote_nullable(${part})`)
  return ofText(quoted.length === 0 ? "''" : quoted.join(" || ',' || "))
}

/** SQL of an aggregate over rows, in whatever order they come. */
function groupHash(hash: string): string {
  return `(count(*)::text || '-' || coalesce(sum(('x' || left(${hash}, 16))::bit(64)::int8)::text, ''))`
}

/**
 * SQL of two columns about a group of rows, which `groupChanges` reads: what tells whether any has changed, and whether any was written
 * since a moment, if one is given.
 */
export function groupColumns(hash: string, { isTracked, since }: Tracking = { isTracked: false }): string {
  if (!isTracked) return "NULL::text, 'f'"
  if (since === undefined) return `${groupHash(hash)}, 'f'`
  return `NULL::text, coalesce(bool_and(${settledSince(since)}), true)::text`
}

interface Tracking {
  readonly isTracked: boolean
  readonly since?: string | undefined
}

export interface Changes {
  readonly fingerprint: string | undefined
  readonly isSettled: boolean
}

/** Of a group without rows, nobody has written any. */
export function groupChanges([hash, settled]: readonly (string | null | undefined)[]): Changes {
  return {
    fingerprint: typeof hash === "string" ? fingerprintOf(shortHash(hash)) : undefined,
    isSettled: settled === "t" || settled === "true",
  }
}

/** What is kept of a hash. */
export function fingerprintOf(hash: string): string {
  return `${FORMAT}:${hash.slice(0, DIGITS)}`
}

/**
 * SQL: no transaction that was not over at `moment` (text of `txid_current_snapshot()`) has written the row of `t`. Very old rows can
 * seem new, never the other way round.
 */
export function settledSince(moment: string): string {
  const [oldest = "0"] = moment.split(":")
  const number = BigInt(oldest) % ROUND
  return `((t.xmin::text::int8 - ${number}) & ${ROUND - 1n}) >= ${ROUND / 2n}`
}
