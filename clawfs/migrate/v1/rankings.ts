/** What pgvector says is nearest to some of the vectors: exactly, without an index, as IronClaw asks. */
import type { Context } from "../context.ts"
import type { Ranking } from "../source.ts"
import { vectorsOf, type Vectors } from "./vectors.ts"

const NEIGHBOURS = 10

/** Up to `most` rankings, spread over all vectors; some of each dimension. */
export async function* rankingsOf(context: Context, most: number): AsyncGenerator<Ranking> {
  const vectors = vectorsOf(context)
  if (vectors === undefined) return
  const { table, dimensions } = vectors
  const counts = await context.session.query(
    `SELECT ${dimensions}::text, count(*)::text FROM ${table.sql} t WHERE t.embedding IS NOT NULL GROUP BY 1 ORDER BY 1`,
  )
  const total = counts.reduce((sum, [, count]) => sum + Number(count), 0)
  let left = most
  for (const [at, [width, count]] of counts.entries()) {
    const fair = Math.max(1, Math.floor((most * Number(count)) / total))
    const share = Math.min(left, Number(count), at === counts.length - 1 ? left : fair)
    left -= share
    if (share > 0) yield* ofDimension(context, vectors, { width: Number(width), count: Number(count), share })
  }
}

interface Sampled {
  readonly width: number
  readonly count: number
  readonly share: number
}

async function* ofDimension(
  context: Context,
  { table, schema, dimensions }: Vectors,
  { width, count, share }: Sampled,
): AsyncGenerator<Ranking> {
  const { session } = context
  const numbered = `SELECT t.id::text AS id, row_number() OVER (ORDER BY t.document_id, t.chunk_index, t.id) - 1 AS n
    FROM ${table.sql} t WHERE ${dimensions} = ${width}`
  const step = Math.max(1, Math.floor(count / share))
  const samples = await session.query(
    `SELECT s.id FROM (${numbered}) s WHERE s.n % ${step} = 0 ORDER BY s.n LIMIT ${share}`,
  )
  const found: string[][] = []
  for (const [id] of samples) {
    const literal = session.literal(id ?? "")
    // The sum keeps the planner from an index, which would only be near to exact.
    const rows = await session.query(
      `SELECT t.id::text FROM ${table.sql} t, (SELECT t.embedding AS q FROM ${table.sql} t WHERE t.id::text = ${literal}) s
       WHERE ${dimensions} = ${width} ORDER BY (t.embedding OPERATOR(${schema}.<=>) s.q) + 0, t.id LIMIT ${NEIGHBOURS}`,
    )
    found.push([id ?? "", ...rows.map(([neighbour]) => neighbour ?? "")])
  }
  const ids = [...new Set(found.flat())].map((id) => session.literal(id)).join(", ")
  const places = await session.query(
    `SELECT s.id, s.n::text FROM (${numbered}) s WHERE s.id IN (${ids === "" ? "NULL" : ids})`,
  )
  const rowOf = new Map(places.map(([id, n]) => [id ?? "", Number(n)]))
  for (const [sample = "", ...neighbours] of found)
    yield {
      ...{ dimensions: width, rows: count, row: rowOf.get(sample) ?? -1 },
      neighbours: neighbours.map((id) => rowOf.get(id) ?? -1),
    }
}
