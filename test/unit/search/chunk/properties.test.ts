/** What holds for the chunks of any text of any kind in any encoding. */
import { TextDecoder } from "node:util"
import { describe, expect, test } from "vitest"
import { chunksOf } from "../../../../clawfs/search/chunk/chunk.ts"
import type { Chunk } from "../../../../clawfs/search/document.ts"
import { decode } from "../../../../clawfs/search/extract/encoding.ts"
import type { ExtractedDocument } from "../../../../clawfs/search/extract/extraction.ts"
import { fc } from "../../support/fast-check.ts"
import { runs } from "../../support/random.ts"
import { documentOf } from "../support/documents.ts"

/** Pieces that make all kinds of trouble: markup of every kind, wide characters, odd blanks, huge words and lines. */
const piece = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom("word", "Ein", "sätzchen.", "tail?", "function", "(a, b) {", "}") },
  { weight: 4, arbitrary: fc.constantFrom(" ", " ", "\n", "\n\n", "\r\n", "\t", "    ") },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...[
        "\n# Head ing #\n",
        "\n## Sub\n",
        "\nTitle\n=====\n",
        "\n```ts\n",
        "\n- item\n",
        '"quoted\nfield",1',
        '{"a":1}',
      ],
      ...[
        "\ndef f(x):\n    ",
        "\nclass A {\n",
        "\n    // note\n",
        "\u3000",
        "\u00a0",
        "日本語。",
        "😀",
        "\u2028",
        "x,y,z\n",
      ],
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 4000 }).map((n) => "z".repeat(n)) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 1200 }).map((n) => "😀".repeat(n)) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 2500 }).map((n) => " ".repeat(n)) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 2500 }).map((n) => "\n".repeat(n)) },
  { weight: 1, arbitrary: fc.integer({ min: 10, max: 400 }).map((n) => "Short words here. ".repeat(n)) },
)

const textOf = fc
  .array(piece, { maxLength: 60 })
  .map((pieces) => pieces.join(""))
  // A file's text has no half characters and no mark at its start: what decodes it sees to that.
  .map((text) => Buffer.from(text).toString().replaceAll("\ufeff", ""))

const shape = fc.constantFrom<Partial<ExtractedDocument> & Pick<ExtractedDocument, "kind">>(
  { kind: "prose" },
  { kind: "markdown" },
  { kind: "mail" },
  { kind: "code", language: "typescript" },
  { kind: "code", language: "python" },
  { kind: "code", language: "" },
  { kind: "data", extractor: "csv" },
  { kind: "data", extractor: "json" },
  { kind: "data", extractor: "jsonl" },
  { kind: "data", extractor: "xlsx" },
)

const encodings = {
  "utf-8": (text: string) => Buffer.from(text),
  "utf-8 with a mark": (text: string) => Buffer.from(`\ufeff${text}`),
  "utf-16le with a mark": (text: string) => Buffer.from(`\ufeff${text}`, "utf16le"),
  "utf-16be with a mark": (text: string) => Buffer.from(`\ufeff${text}`, "utf16le").swap16(),
  "utf-32le with a mark": (text: string) =>
    Buffer.from(Uint32Array.from([...`\ufeff${text}`], (character) => character.codePointAt(0) ?? 0).buffer),
} as const

function checkRanges(
  text: string,
  chunks: readonly Chunk[],
  bytes: Buffer,
  decodeSlice: (slice: Buffer) => string,
): void {
  const covered = new Uint8Array(bytes.length)
  for (const chunk of chunks) {
    expect(decodeSlice(bytes.subarray(chunk.start, chunk.end))).toBe(chunk.text)
    expect(chunk.text.trim()).toBe(chunk.text)
    expect(chunk.text).not.toBe("")
    expect(chunk.text.length).toBeLessThanOrEqual(1700)
    covered.fill(1, chunk.start, chunk.end)
  }
  let outside = ""
  for (let at = 0, from = 0; at <= bytes.length; at += 1) {
    if (at < bytes.length && covered[at] === 0) continue
    if (from < at) outside += decodeSlice(bytes.subarray(from, at))
    from = at + 1
  }
  expect(outside.replaceAll("\ufeff", "").trim()).toBe("")
  expect(chunks.length).toBeLessThanOrEqual(text.length / 200 + 1)
}

function checkLines(text: string, chunks: readonly Chunk[]): void {
  let from = 0
  for (const [i, chunk] of chunks.entries()) {
    // Chunks are in order, and each starts behind the start of the one before.
    const at = text.indexOf(chunk.text, i === 0 ? 0 : from + 1)
    expect(at).toBeGreaterThanOrEqual(0)
    from = at
    const place = { firstLine: chunk.firstLine, lastLine: chunk.lastLine }
    const found = [at, ...repeats(text, chunk.text, at)].map((start) => ({
      firstLine: text.slice(0, start).split("\n").length,
      lastLine: text.slice(0, start + chunk.text.length).split("\n").length,
    }))
    expect(found).toContainEqual(place)
  }
}

/** Other places of the same text: a text of repetitions has many. */
function repeats(text: string, part: string, from: number): number[] {
  const found: number[] = []
  for (let at = text.indexOf(part, from + 1); at >= 0 && found.length < 5000; at = text.indexOf(part, at + 1))
    found.push(at)
  return found
}

describe("chunks of any text", () => {
  test.each(Object.entries(encodings))("cover it with exact ranges and lines: %s", (name, encode) => {
    fc.assert(
      fc.property(textOf, shape, (text, given) => {
        const bytes = encode(text)
        // Only what the encoding itself decides: whether such bytes count as text is tested elsewhere.
        const encoding = decode(encode("sample text of the same encoding"))?.encoding
        expect(encoding).toBeDefined()
        const label = encoding?.label ?? ""
        const document = documentOf(given.kind, text, { ...given, ...(encoding && { encoding }) })
        const chunks = chunksOf(document)
        const decodeSlice = (slice: Buffer): string =>
          label.startsWith("utf-32")
            ? utf32(slice)
            : new TextDecoder(label, { ignoreBOM: true, fatal: true }).decode(slice)
        checkRanges(text, chunks, bytes, decodeSlice)
        checkLines(text, chunks)
        expect(chunksOf(document), name).toEqual(chunks)
      }),
      { numRuns: runs(60) },
    )
  })

  test("a blank text has none", () => {
    expect(chunksOf(documentOf("prose", ""))).toEqual([])
    expect(chunksOf(documentOf("markdown", " \n\t\r\n \u00a0\u3000\n"))).toEqual([])
  })
})

function utf32(slice: Buffer): string {
  let text = ""
  for (let at = 0; at < slice.length; at += 4) text += String.fromCodePoint(slice.readUInt32LE(at))
  return text
}
