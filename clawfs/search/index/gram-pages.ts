/**
 * Pages of the gram index: for 64 grams each, the numbers of the documents that have them. A page is a row of lists:
 * gram within the page, bytes of the list, ascending document numbers as differences (all LEB128).
 */
import { GRAM_COUNT, packAscending, unpackAscending, VarintReader, VarintWriter } from "./grams.ts"

const GRAMS_A_PAGE = 64
export const PAGE_COUNT = GRAM_COUNT / GRAMS_A_PAGE

export const pageOf = (gram: number): number => Math.floor(gram / GRAMS_A_PAGE)

/** The documents of a page that have the gram, ascending. */
export function postingsIn(page: Buffer, gram: number): Uint32Array {
  const wanted = gram % GRAMS_A_PAGE
  for (const [within, list] of listsOf(page)) if (within === wanted) return unpackAscending(list)
  return new Uint32Array()
}

function* listsOf(page: Buffer): Generator<[within: number, list: VarintReader]> {
  const reader = new VarintReader(page)
  while (reader.at < reader.end) {
    const within = reader.next()
    const length = reader.next()
    yield [within, new VarintReader(page, reader.at, Math.min(reader.at + length, page.length))]
    reader.at += length
  }
}

/** One page of several, whose documents follow each other; `isLive` leaves out those that are gone. */
export function mergedPage(pages: readonly Buffer[], isLive: (document: number) => boolean): Buffer {
  const lists: number[][] = Array.from({ length: GRAMS_A_PAGE }, () => [])
  const add = (within: number, list: VarintReader): void => {
    const merged = lists[within]
    for (const number of unpackAscending(list)) if (isLive(number)) merged?.push(number)
  }
  for (const page of pages) for (const [within, list] of listsOf(page)) add(within, list)
  return packedPage(lists.map((list) => Uint32Array.from(list)))
}

function packedPage(lists: readonly Uint32Array[]): Buffer {
  const page = new VarintWriter()
  const packed = new VarintWriter()
  for (const [within, list] of lists.entries()) {
    if (list.length === 0) continue
    packed.clear()
    packAscending(list, packed)
    page.put(within)
    page.put(packed.length)
    page.append(packed.view())
  }
  return Buffer.from(page.view())
}

/** The pages of some documents, given ascending with their grams. Empty pages are left out. */
export function* pagesOf(
  documents: readonly (readonly [number: number, grams: Uint32Array])[],
): Generator<[page: number, postings: Buffer]> {
  const counts = new Uint32Array(GRAM_COUNT + 1)
  for (const [, grams] of documents) for (const gram of grams) counts[gram + 1] = (counts[gram + 1] ?? 0) + 1
  for (let gram = 0; gram < GRAM_COUNT; gram++)
    counts[gram + 1] = (counts[gram + 1] ?? 0) + (counts[gram] ?? 0)
  const starts = counts.slice()
  const numbers = new Uint32Array(counts[GRAM_COUNT] ?? 0)
  for (const [number, grams] of documents)
    for (const gram of grams) {
      const at = starts[gram] ?? 0
      numbers[at] = number
      starts[gram] = at + 1
    }
  for (let page = 0; page < PAGE_COUNT; page++) {
    const first = page * GRAMS_A_PAGE
    if (counts[first] === counts[first + GRAMS_A_PAGE]) continue
    const list = (_: unknown, i: number): Uint32Array =>
      numbers.subarray(counts[first + i], counts[first + i + 1])
    yield [page, packedPage(Array.from({ length: GRAMS_A_PAGE }, list))]
  }
}
