/** Evaluates a plan over the gram index: which documents may have a match. */
import { gramsOf, unpackAscending, VarintReader } from "./grams.ts"
import type { GramPlan } from "./gram-plan.ts"
import { pageOf, postingsIn } from "./gram-pages.ts"
import type { IndexReader } from "./reader.ts"
import type { SelectionSql } from "./selection.ts"

/** More grams of one string hardly leave out more. */
const MOST_GRAMS = 24

type Lookup = (gram: number) => Uint32Array

/** Inodes of documents with text, ascending, within the selection; all for a plan that says nothing. */
export function candidates(reader: IndexReader, plan: GramPlan, within: SelectionSql | undefined): number[] {
  const inside = within === undefined ? "" : `AND ino IN (${within.sql})`
  const parameters = within?.parameters ?? []
  if (plan.kind === "anything")
    return reader
      .rows<[number]>(`SELECT ino FROM document WHERE extractor <> '' ${inside} ORDER BY ino`, ...parameters)
      .map(([ino]) => ino)
  const numbers: number[] = []
  for (const [segment] of reader.rows<[number]>("SELECT id FROM gram_segment")) {
    for (const number of evaluate(plan, pagesOf(reader, segment))) numbers.push(number)
  }
  for (const [number, packed] of reader.rows<[number, Buffer]>("SELECT number, grams FROM gram_pending")) {
    const grams = unpackAscending(new VarintReader(packed))
    const one = Uint32Array.of(number)
    if (evaluate(plan, (gram) => (isIn(grams, gram) ? one : NONE)).length > 0) numbers.push(number)
  }
  return reader
    .rows<[number]>(
      `SELECT ino FROM document WHERE grams IN (SELECT value FROM json_each(?)) ${inside} ORDER BY ino`,
      ...[JSON.stringify(numbers), ...parameters],
    )
    .map(([ino]) => ino)
}

const NONE = new Uint32Array()

/** By halving. */
function isIn(ascending: Uint32Array, wanted: number): boolean {
  let [low, high] = [0, ascending.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ascending[middle] ?? 0) < wanted) low = middle + 1
    else high = middle
  }
  return ascending[low] === wanted
}

function pagesOf(reader: IndexReader, segment: number): Lookup {
  const lists = new Map<number, Uint32Array>()
  return (gram) => {
    const known = lists.get(gram)
    if (known !== undefined) return known
    const [row] = reader.rows<[Buffer]>(
      "SELECT postings FROM gram_page WHERE segment = ? AND page = ?",
      ...[segment, pageOf(gram)],
    )
    const list = row === undefined ? NONE : postingsIn(row[0], gram)
    lists.set(gram, list)
    return list
  }
}

/** Numbers of documents, ascending. The plan must not be "anything", nor have it in it. */
function evaluate(plan: GramPlan, lookup: Lookup): Uint32Array {
  switch (plan.kind) {
    case "anything":
      return NONE
    case "literal":
      return allOf(sampled(gramsOf(plan.text)), lookup)
    case "and":
      return plan.parts.map((part) => evaluate(part, lookup)).reduce(intersection)
    case "or": {
      const found = new Set(plan.parts.flatMap((part) => [...evaluate(part, lookup)]))
      return Uint32Array.from(found).sort()
    }
  }
}

function sampled(grams: Uint32Array): Uint32Array {
  const step = Math.max(1, grams.length / MOST_GRAMS)
  return grams.filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step))
}

function allOf(grams: Uint32Array, lookup: Lookup): Uint32Array {
  let found: Uint32Array | undefined
  for (const gram of grams) {
    found = found === undefined ? lookup(gram) : intersection(found, lookup(gram))
    if (found.length === 0) break
  }
  return found ?? NONE
}

function intersection(a: Uint32Array, b: Uint32Array): Uint32Array {
  const both = new Uint32Array(Math.min(a.length, b.length))
  let count = 0
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const [x, y] = [a[i] ?? 0, b[j] ?? 0]
    if (x === y) both[count++] = x
    if (x <= y) i++
    if (y <= x) j++
  }
  return both.subarray(0, count)
}
