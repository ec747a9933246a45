/** Which model made a store's vectors. No table says so: a setting does, where the user made one. */
import { tableWith, type Context } from "../context.ts"

/** Of the models that IronClaw knows (the reference, §5.3): what a vector of theirs has. */
const DIMENSIONS: Readonly<Record<string, readonly number[]>> = {
  "text-embedding-3-small": [1536],
  "text-embedding-ada-002": [1536],
  "text-embedding-3-large": [3072],
  "amazon.titan-embed-text-v2:0": [256, 512, 1024],
  "nomic-embed-text": [768],
  "mxbai-embed-large": [1024],
  "all-minilm": [384],
}
const MOST_NAME = 200

/**
 * What `--embedding-model` or the settings say: a setting `embeddings.model`, or `embeddings` with a model in it. Undefined where there
 * is none, or several users have different ones: nobody knows then which vector is whose.
 */
export async function declaredModel(context: Context): Promise<string | undefined> {
  const { session, embeddingModel } = context
  if (embeddingModel !== undefined) return embeddingModel
  const table = tableWith(context, "settings", ["user_id", "key", "value"])
  if (table?.columns.find(({ name }) => name === "value")?.type !== "jsonb") return undefined
  const rows = await session.query(
    `SELECT DISTINCT CASE t.key WHEN 'embeddings.model' THEN t.value #>> '{}' ELSE t.value #>> '{model}' END COLLATE "C"
     FROM ${table.sql} t WHERE t.key IN ('embeddings.model', 'embeddings') AND octet_length(t.value::text) < 65536 LIMIT 10`,
  )
  const names = rows.flatMap(([name]) => (typeof name === "string" && name !== "" ? [name] : []))
  const [only = "", ...others] = names
  return others.length > 0 || only === "" || only.length > MOST_NAME ? undefined : only
}

/** The model of the vectors of a dimension; undefined where that is not known. `sets`: how many dimensions there are. */
export function modelOf(declared: string | undefined, dimensions: number, sets: number): string | undefined {
  if (declared === undefined) return undefined
  const known = DIMENSIONS[declared.replace(/:latest$/, "")]
  if (known === undefined) return sets === 1 ? declared : undefined
  return known.includes(dimensions) ? declared : undefined
}
