/** The scanner of leaks against one that has the forms themselves and looks at each place: both find the same. */
import fc from "fast-check"
import { expect, test } from "vitest"
import { ENCODERS, MOST_EXPANSION } from "../../../vault/encodings.ts"
import { LeakFilter, LeakScanner, WINDOW } from "../../../vault/leaks.ts"

const LEAST_LINE = 16
const RUNS = process.env["SLOW"] === "1" ? 2000 : 250

interface Hit {
  readonly at: number
  readonly length: number
}

/** A value, itself without white space around it, and its lines. */
function partsOf(value: Buffer): Buffer[] {
  const text = value.toString("latin1")
  const inner = text.replace(/^[\0- ]+/, "").replace(/[\0- ]+$/, "")
  const lines = inner.split("\n")
  const long = lines.length > 1 ? lines.filter((line) => line.length >= LEAST_LINE) : []
  return [text, inner, ...long].map((each) => Buffer.from(each, "latin1"))
}

function formsOf(value: Buffer): Buffer[] {
  const room = Buffer.alloc(MOST_EXPANSION * value.length)
  const all = partsOf(value).flatMap((part) =>
    ENCODERS.map((encode) => Buffer.from(room.subarray(0, encode(part, room)))),
  )
  return all.filter((form) => form.length >= WINDOW)
}

/** Of those that overlap, the first, and of those that begin together the longest. */
function naive(values: readonly Buffer[], bytes: Buffer): Hit[] {
  const all: Hit[] = []
  for (const form of values.flatMap(formsOf))
    for (let at = bytes.indexOf(form); at >= 0; at = bytes.indexOf(form, at + 1))
      all.push({ at, length: form.length })
  const hits: Hit[] = []
  let free = 0
  for (const hit of all.sort((a, b) => a.at - b.at || b.length - a.length)) {
    if (hit.at < free) continue
    hits.push(hit)
    free = hit.at + hit.length
  }
  return hits
}

function scannerOf(values: readonly Buffer[]): LeakScanner {
  const scanner = new LeakScanner()
  for (const value of values) scanner.add("x", value, Buffer.alloc(MOST_EXPANSION * value.length))
  return scanner
}

/** Few different bytes: values that repeat themselves, overlap, and begin alike. */
const byte = fc.oneof(
  { arbitrary: fc.constantFrom(0x61, 0x62, 0x0a), weight: 8 },
  { arbitrary: fc.integer({ min: 0, max: 255 }), weight: 2 },
)
const value = fc.array(byte, { minLength: 1, maxLength: 40 }).map((bytes) => Buffer.from(bytes))
const setting = fc.record({
  values: fc.array(value, { minLength: 1, maxLength: 6 }),
  /** Pieces of a text: some of these are forms, whole or cut off, the rest anything. */
  pieces: fc.array(
    fc.record({
      what: fc.nat(),
      from: fc.nat({ max: 3 }),
      cut: fc.nat({ max: 3 }),
      noise: fc.array(byte, { maxLength: 9 }),
    }),
    { maxLength: 12 },
  ),
  offset: fc.nat({ max: 3 }),
  cuts: fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 }),
})

function textOf(
  values: readonly Buffer[],
  pieces: readonly { what: number; from: number; cut: number; noise: number[] }[],
): Buffer {
  const forms = values.flatMap(formsOf)
  return Buffer.concat(
    pieces.flatMap(({ what, from, cut, noise }) => {
      const form = forms[what % Math.max(1, forms.length)] ?? Buffer.alloc(0)
      return [Buffer.from(noise), form.subarray(from < 3 ? 0 : 1, form.length - (cut < 3 ? 0 : 1))]
    }),
  )
}

test("finds what is there, and nothing else, at each alignment", () => {
  let [found, settings] = [0, 0]
  fc.assert(
    fc.property(setting, ({ values, pieces, offset }) => {
      const text = textOf(values, pieces)
      const moved = Buffer.concat([Buffer.alloc(offset), text]).subarray(offset)
      const expected = naive(values, text)
      const { leaks } = scannerOf(values).search(moved)
      expect(leaks.map(({ at, length }) => ({ at, length }))).toEqual(expected)
      found += expected.length
      settings += 1
    }),
    { numRuns: RUNS },
  )
  // The generator makes leaks, so that this is no comparison of nothing with nothing.
  expect(found).toBeGreaterThan(settings)
})

test("a stream that is cut anywhere passes without what is found in the whole", () => {
  fc.assert(
    fc.property(setting, ({ values, pieces, cuts }) => {
      const text = textOf(values, pieces)
      const expected: Buffer[] = []
      let done = 0
      for (const { at, length } of naive(values, text)) {
        expected.push(text.subarray(done, at), Buffer.from("[secret x]"))
        done = at + length
      }
      expected.push(text.subarray(done))
      const filter = new LeakFilter(scannerOf(values))
      const parts: Buffer[] = []
      for (let at = 0, turn = 0; at < text.length; turn += 1) {
        const size = cuts[turn % cuts.length] ?? 1
        parts.push(filter.push(Buffer.from(text.subarray(at, at + size))))
        at += size
      }
      parts.push(filter.end())
      expect(Buffer.concat(parts).toString("latin1")).toBe(Buffer.concat(expected).toString("latin1"))
    }),
    { numRuns: RUNS },
  )
})
