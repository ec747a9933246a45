/** Where documents of each kind are cut, and what stands above their chunks. */
import { describe, expect, test } from "vitest"
import { chunksOf } from "../../../../clawfs/search/chunk/chunk.ts"
import type { Chunk } from "../../../../clawfs/search/document.ts"
import { Random, seed } from "../../support/random.ts"
import { documentOf, paragraphs, prose } from "../support/documents.ts"

const wordsIn = (text: string): number => text.split(/\s+/).length

/** Characters that each chunk shares with the one before. */
function overlaps(chunks: readonly Chunk[]): number[] {
  return chunks.slice(1).map((chunk, i) => (chunks[i]?.end ?? 0) - chunk.start)
}

describe("prose", () => {
  const text = paragraphs(new Random(seed), 120)
  const chunks = chunksOf(documentOf("prose", text))

  test("is cut into parts of 120 to 320 words", () => {
    const inner = chunks.slice(0, -1).map((chunk) => wordsIn(chunk.text))
    expect(Math.min(...inner)).toBeGreaterThan(120)
    expect(Math.max(...inner)).toBeLessThan(320)
    const mean = inner.reduce((sum, words) => sum + words, 0) / inner.length
    expect(mean).toBeGreaterThan(180)
    expect(mean).toBeLessThan(260)
  })

  test("is cut between paragraphs, where there are some", () => {
    const cut = chunks.slice(0, -1).filter((chunk) => text.startsWith("\n\n", chunk.end))
    expect(cut.length).toBe(chunks.length - 1)
  })

  test("repeats a tenth to a fifth, from the start of a sentence", () => {
    for (const [i, shared] of overlaps(chunks).entries()) {
      const length = chunks[i]?.text.length ?? 0
      expect(shared).toBeGreaterThan(0.05 * length)
      expect(shared).toBeLessThan(0.2 * length)
      expect(chunks[i + 1]?.text).toMatch(/^[A-Z]/)
    }
  })

  test("in one line is cut between sentences", () => {
    const line = prose(new Random(seed), 300)
    for (const chunk of chunksOf(documentOf("prose", line))) {
      expect(chunk.text).toMatch(/^[A-Z].*\.$/)
      expect([chunk.firstLine, chunk.lastLine]).toEqual([1, 1])
    }
  })

  test("in Chinese, which has no blanks, too", () => {
    const line = "这个供应商的价格比较便宜而且送货也很快。".repeat(300)
    const parts = chunksOf(documentOf("prose", line))
    expect(parts.length).toBeGreaterThan(3)
    for (const { text: part } of parts) expect(part).toMatch(/^这个.*。$/)
  })

  test("with underlined headings has them above its chunks", () => {
    const body = prose(new Random(seed), 12)
    const parts = chunksOf(documentOf("prose", `Plan\n====\n\n${body}\n\nCosts\n-----\n\n${body}\n`))
    expect(parts.map(({ heading }) => heading)).toEqual(["Plan", "Plan > Costs"])
  })
})

describe("Markdown", () => {
  const body = prose(new Random(seed), 14)
  const headings = (text: string): string[] =>
    chunksOf(documentOf("markdown", text)).map(({ heading }) => heading)

  test("has a chunk for each long section, with the headings above it", () => {
    const text = `# Plan\n\n${body}\n\n## Suppliers ##\n\n${body}\n\n### Second\n\n${body}\n\n## Costs\n\n${body}\n\nOther\n=====\n\n${body}\n`
    expect(headings(text)).toEqual([
      "Plan",
      "Plan > Suppliers",
      "Plan > Suppliers > Second",
      "Plan > Costs",
      "Other",
    ])
    for (const chunk of chunksOf(documentOf("markdown", text)).slice(0, -1)) expect(chunk.text).toMatch(/^#/)
  })

  test("short sections share one", () => {
    expect(headings("# A\n\nfew words\n\n## B\n\nfew words\n\n## C\n\nfew words\n")).toEqual(["A"])
  })

  test("nothing is repeated over a heading", () => {
    const chunks = chunksOf(documentOf("markdown", `# A\n\n${body}\n\n# B\n\n${body}\n`))
    expect(overlaps(chunks).every((shared) => shared < 0)).toBe(true)
  })

  test("what stands in a fence is no heading", () => {
    const text = `# A\n\n\`\`\`sh\n# comment\n${"echo one\n".repeat(100)}# comment\n~~~\n\`\`\`\n\n${body}\n\n# B\n\n${body}\n`
    expect(new Set(headings(text))).toEqual(new Set(["A", "B"]))
  })

  test("lists, tables and tags are not headings", () => {
    const text = `# A\n\n#hash\n#1 place\n\n- item\n---\n\n| a |\n|---|\n\n${body}`
    expect(headings(text)).toEqual(["A"])
  })
})

describe("code", () => {
  const lines = (indent: string, count: number): string =>
    Array.from({ length: count }, (_, i) => `${indent}total += compute(first, second, ${i})\n`).join("")

  test("is cut before definitions, their comments with them, and nothing is repeated", () => {
    const one = (name: string): string =>
      `/** What ${name} is for. */\nexport function ${name}(a: number) {\n${lines("  ", 18)}}\n\n`
    const chunks = chunksOf(
      documentOf("code", ["first", "second", "third"].map(one).join(""), { language: "typescript" }),
    )
    expect(chunks.map(({ heading }) => heading)).toEqual(["first", "second", "third"])
    for (const chunk of chunks) expect(chunk.text).toMatch(/^\/\*\* What[^]*\}$/)
    expect(overlaps(chunks).every((shared) => shared < 0)).toBe(true)
  })

  test("knows what encloses a part of a long method", () => {
    const text = `class Budget:\n    """Money."""\n\n    def spend(self, amount):\n${lines("        ", 80)}\n    @property\n    def rest(self):\n${lines("        ", 20)}`
    const headings = chunksOf(documentOf("code", text, { language: "python" })).map(({ heading }) => heading)
    expect(headings[0]).toBe("Budget")
    expect(headings.slice(1, -1)).toContain("Budget > spend")
    expect(headings.at(-1)).toBe("Budget > rest")
  })

  test.each([
    ["rust", "impl<T> Display for Wrapper<T> {", "Display"],
    ["go", "func (s *Server) Listen(port int) error {", "Listen"],
    ["c", "static int parse_header(const char *text, size_t n) {", "parse_header"],
    ["java", "public static void main(String[] args) throws Exception {", "main"],
    ["javascript", "export const handler = async (event) => {", "handler"],
    ["kotlin", "data class Point(val x: Int)", "Point"],
    ["ruby", "def each_line", "each_line"],
    ["sql", "CREATE TABLE IF NOT EXISTS orders (", "orders"],
    ["toml", "[package.metadata]", "package.metadata"],
    ["bash", "build_all() {", "build_all"],
  ])("%s: %s", (language, line, name) => {
    const text = `${lines("", 20)}\n${line}\n${lines("    ", 30)}`
    const chunks = chunksOf(documentOf("code", text, { language }))
    expect(chunks.map(({ heading }) => heading)).toContain(name)
  })

  test.each([
    ["javascript", "if (ready) {"],
    ["javascript", "return compute(() => {"],
    ["python", "type = first"],
    ["c", "} else if (x) {"],
    ["java", "for (int i = 0; i < n; i++) {"],
  ])("%s defines nothing with %s", (language, line) => {
    const text = `${lines("", 20)}\n${line}\n${lines("    ", 30)}`
    for (const { heading } of chunksOf(documentOf("code", text, { language }))) expect(heading).toBe("")
  })
})

describe("data", () => {
  test("CSV has its columns above every chunk, and whole records in it", () => {
    const rows = Array.from({ length: 200 }, (_, i) => `${i},"Supplier, no ${i}",${i * 3}.5\n`)
    const chunks = chunksOf(documentOf("data", `id,name,price\n${rows.join("")}`, { extractor: "csv" }))
    expect(chunks.length).toBeGreaterThan(3)
    for (const chunk of chunks) {
      expect(chunk.heading).toBe("id, name, price")
      expect(chunk.text).toMatch(/^(?:id|\d+),.*\.5$/s)
    }
  })

  test("CSV without names of columns has nothing above", () => {
    const chunks = chunksOf(documentOf("data", "1,2\n3,4\n", { extractor: "csv" }))
    expect(chunks.map(({ heading }) => heading)).toEqual([""])
  })

  test("line ends between quotes are no ends of records", () => {
    const rows = Array.from({ length: 60 }, (_, i) => `${i},"${"first line of it\n".repeat(6)}last"\n`)
    for (const { text } of chunksOf(documentOf("data", `id,note\n${rows.join("")}`, { extractor: "csv" })))
      expect(text.match(/"/g)?.length ?? 0).toBeGreaterThan(0)
    for (const { text } of chunksOf(documentOf("data", `id,note\n${rows.join("")}`, { extractor: "csv" })))
      expect((text.match(/"/g)?.length ?? 0) % 2).toBe(0)
  })

  test("long JSON lines have a chunk each, short ones share", () => {
    const long = Array.from({ length: 6 }, (_, i) => `{"id":${i},"text":"${"word ".repeat(170)}"}\n`).join("")
    const chunks = chunksOf(documentOf("data", long, { extractor: "jsonl" }))
    expect(chunks.map(({ firstLine, lastLine }) => [firstLine, lastLine])).toEqual(
      [1, 2, 3, 4, 5, 6].map((n) => [n, n]),
    )
    const short = '{"id":1}\n'.repeat(1000)
    for (const { text } of chunksOf(documentOf("data", short, { extractor: "jsonl" })))
      expect(text).toMatch(/^\{.*\}$/s)
  })

  test("JSON in lines knows the keys above", () => {
    const value = { suppliers: { second: Array.from({ length: 200 }, (_, i) => `offer number ${i}`) } }
    const headings = chunksOf(documentOf("data", JSON.stringify(value, null, 2), { extractor: "json" })).map(
      (c) => c.heading,
    )
    expect(headings.slice(1)).toContain("suppliers > second")
  })

  test("a workbook has its sheet and columns above", () => {
    const rows = (name: string): string => `# ${name}\nSupplier\tPrice\n${"Ada\t12\n".repeat(100)}`
    const chunks = chunksOf(
      documentOf("data", `${rows("Prices")}\n${rows("Old")}`, { extractor: "xlsx", isVerbatim: false }),
    )
    expect(new Set(chunks.map(({ heading }) => heading))).toEqual(
      new Set(["Prices > Supplier, Price", "Old > Supplier, Price"]),
    )
  })

  test("JSON in one line is cut behind commas or between words", () => {
    const line = JSON.stringify(Array.from({ length: 3000 }, (_, i) => ({ id: i, tag: "x" })))
    const chunks = chunksOf(documentOf("data", line, { extractor: "json" }))
    for (const { text } of chunks.slice(0, -1)) expect(text).toMatch(/[,}\]]$/)
  })
})

describe("whatever the text is", () => {
  test("one word without end is cut, never inside of a character", () => {
    const chunks = chunksOf(documentOf("prose", `x${"😀".repeat(20_000)}`))
    for (const { text } of chunks) expect(Buffer.from(text).toString()).toBe(text)
  })

  test.each([
    ["line ends", "\n".repeat(2_000_000)],
    ["blanks", " ".repeat(2_000_000)],
    ["one letter a line", "a\n".repeat(1_000_000)],
    ["headings", "# a\n".repeat(500_000)],
    ["fences", "```\n".repeat(500_000)],
    ["number signs", "#".repeat(2_000_000)],
    ["one word", "a".repeat(2_000_000)],
    ["quotes", '"'.repeat(2_000_000)],
    ["brackets", "(".repeat(2_000_000)],
    ["definitions", "def a\n".repeat(300_000)],
    ["decorators", "@a\n".repeat(600_000)],
    ["underlines", "a\n===\n\n".repeat(280_000)],
  ])("2 MB of %s of every kind, in bounded numbers", (_what, text) => {
    const kinds = [
      documentOf("prose", text),
      documentOf("markdown", text),
      documentOf("code", text, { language: "typescript" }),
      documentOf("data", text, { extractor: "csv" }),
      documentOf("data", text, { extractor: "xlsx" }),
      documentOf("data", text, { extractor: "json" }),
    ]
    for (const document of kinds) expect(chunksOf(document).length).toBeLessThanOrEqual(text.length / 200 + 1)
  })

  test("headings are bounded", () => {
    const text = `# ${"very ".repeat(1000)}long\n## ${"x".repeat(5000)}\n\ntext\n`
    for (const { heading } of chunksOf(documentOf("markdown", text)))
      expect(heading.length).toBeLessThanOrEqual(300)
  })
})
