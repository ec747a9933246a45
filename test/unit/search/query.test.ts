/** The query language: what it means, and that nothing typed into it is an error of SQL. */
import { describe, expect, test } from "vitest"
import { chunkQuery, nameExpression } from "../../../clawfs/search/query/expression.ts"
import { parseQuery } from "../../../clawfs/search/query/parse.ts"
import { snippetOf } from "../../../clawfs/search/query/snippet.ts"
import { Searcher } from "../../../clawfs/search/query/search.ts"
import { WordSearch } from "../../../clawfs/search/index/word-search.ts"
import { Random } from "../../model/random.ts"
import { TestIndex } from "./support.ts"

const NOW = 1_800_000_000
const parse = (query: string) => parseQuery(query, NOW)

describe("a query", () => {
  test("has words without stop words, phrases, exclusions and filters", () => {
    expect(
      parse('Why did we pick the "second  supplier" -draft -"old plan" path:/notes/2026/ ext:.md,TXT'),
    ).toMatchObject({
      words: ["pick"],
      phrases: [["second", "supplier"]],
      excluded: [["draft"], ["old", "plan"]],
      selection: { below: [Buffer.from("notes/2026")], extensions: ["md", "txt"] },
      text: "Why did we pick the second  supplier",
      isLiteral: false,
    })
  })

  test("of stop words alone is made of them", () => {
    expect(parse("to be or not to be").words).toEqual(["to", "be", "or", "not"])
  })

  test.each([
    "readFile",
    "read_file",
    "std::vector",
    "fs.promises",
    "E1234",
    '"exact words"',
    "src/main",
    "run()",
  ])("%s is literal", (query) => expect(parse(query).isLiteral).toBe(true))
  test.each(["supplier", "state-of-the-art", "why not?", 'supplier "second one"'])("%s is not", (query) =>
    expect(parse(query).isLiteral).toBe(false),
  )

  test.each([
    ["since:7d x", NOW - 7 * 86_400],
    ["since:90m x", NOW - 5400],
    ["since:2026-01-31 x", Date.UTC(2026, 0, 31) / 1000],
    ["since:2026-01-31T08:30 x", Date.UTC(2026, 0, 31, 8, 30) / 1000],
    ["since:7d since:1d x", NOW - 86_400],
  ])("%s", (query, since) => expect(parse(query).selection.since).toBe(since))

  test("with a colon that is no filter is text", () => {
    expect(parse("http://example.org/x at 12:30").words).toEqual(["http", "example", "org", "x", "12", "30"])
    expect(parse("note: buy milk").words).toEqual(["note", "buy", "milk"])
  })

  test.each([
    ["", "the query has no words"],
    ["  \t\n\u0000 ", "the query has no words"],
    ["-- ** ()", "the query has no words"],
    ["-draft", "only says what is not wanted"],
    ["ext:md", "filters but nothing to search for"],
    ["author:bob plan", "there is no filter `author:`"],
    ["since:yesterday plan", "`since:yesterday` is no time"],
    ["since:2026-13-01 plan", "is no time"],
    ["-since:7d plan", "`-since:` has no meaning"],
    ["x".repeat(100_000), "the query has 100000 bytes, more than 8192"],
  ])("%j is refused in one sentence", (query, message) => {
    expect(() => parse(query)).toThrow(message)
    expect(() => parse(query)).toThrow(
      expect.objectContaining({ kind: "invalid", hint: expect.stringMatching(/./) as string }),
    )
  })
})

test("whatever is typed, FTS5 finds no syntax in it", () => {
  using index = new TestIndex()
  index.put(1, "a.md", "heron AND otter NEAR badger")
  using reader = index.reader()
  const random = new Random(11)
  const bits = [
    '"',
    "'",
    "(",
    ")",
    "*",
    "^",
    "-",
    "+",
    ":",
    "{",
    "}",
    "NEAR",
    "AND",
    "OR",
    "NOT",
    "heron",
    "title:",
    "a",
    "é",
    "\u0000",
  ]
  bits.push(
    "\u{1f426}",
    "\ud800",
    ",",
    ".",
    " ",
    " ",
    "NEAR(",
    "rowid",
    "--",
    ";",
    "/*",
    "\\",
    "%",
    "_",
    "日本",
    "\u0301",
    "³",
    "¼",
    "𝔘",
  )
  const search = new WordSearch(reader)
  let searched = 0
  for (let i = 0; i < 5000; i++) {
    const query = Array.from({ length: 1 + random.below(8) }, () => random.pick(bits)).join(
      random.pick(["", " "]),
    )
    let parsed
    try {
      parsed = parse(query)
    } catch (refused) {
      expect(refused).toMatchObject({ kind: "invalid" })
      continue
    }
    searched++
    expect(() => search.best(chunkQuery(parsed), undefined, 5), query).not.toThrow()
    expect(() => reader.names(nameExpression(parsed), undefined, 5), query).not.toThrow()
  }
  expect(searched).toBeGreaterThan(1000)
})

describe("a search by words", () => {
  const filled = (): TestIndex => {
    const index = new TestIndex()
    index.put(1, "notes/supplier.md", "We chose the second supplier because of price.", {
      kind: "markdown",
      mtime: NOW - 100,
    })
    index.put(2, "notes/draft.md", "A draft about a supplier. Second thoughts.", { mtime: NOW - 90 * 86_400 })
    index.put(3, "src/supplier.ts", "export const supplier = 2", { kind: "code", extractor: "code" })
    index.put(4, "src/other.ts", "nothing here\n\nbut a heron\n\nand a supplier", {
      kind: "code",
      extractor: "code",
    })
    return index
  }
  const find = async (query: string, options = {}): Promise<string[]> => {
    using index = filled()
    using reader = index.reader()
    const answer = await new Searcher(reader, undefined).search(query, {
      mode: "words",
      now: NOW,
      ...options,
    })
    return answer.results.map(({ document }) => String(document.paths[0]))
  }

  test.each([
    ['"second supplier"', ["notes/supplier.md"]],
    ["supplier -draft ext:md", ["notes/supplier.md"]],
    ["supplier path:src -other -nothing", ["src/supplier.ts"]],
    ["supplier -path:src since:7d", ["notes/supplier.md"]],
    ["supplier -path:src before:7d", ["notes/draft.md"]],
    ["supplier type:code -type:prose", ["src/supplier.ts", "src/other.ts"]],
    ["herons", ["src/other.ts"]],
    ["SUPPLIERS price", ["notes/supplier.md", "src/supplier.ts", "src/other.ts", "notes/draft.md"]],
    ["unheard", []],
  ])("%s", async (query, paths) => {
    const found = await find(query)
    expect(found.toSorted()).toEqual([...paths].sort())
    if (paths.length > 0) expect(found[0]).toBe(paths[0])
  })

  test("an exact name wins over any text", async () => {
    expect((await find("other.ts"))[0]).toBe("src/other.ts")
    expect((await find("draft"))[0]).toBe("notes/draft.md")
    expect((await find("src/supplier.ts"))[0]).toBe("src/supplier.ts")
  })

  test("is confined to directories, whatever the query says", async () => {
    expect(await find("supplier", { below: [Buffer.from("src")] })).toHaveLength(2)
    expect(await find("supplier path:notes", { below: [Buffer.from("src")] })).toEqual([])
    expect(await find("supplier path:src", { below: [Buffer.from("")] })).toHaveLength(2)
    expect(await find("supplier path:sr")).toEqual([])
  })

  test("what may not be seen is passed over, and the answer filled up behind it", async () => {
    using index = new TestIndex()
    for (let ino = 1; ino <= 900; ino++)
      index.put(ino, `f${ino}.md`, `heron ${"and other birds ".repeat(ino % 50)}`)
    using reader = index.reader()
    const { results } = await new Searcher(reader, undefined).search("heron", {
      limit: 5,
      mode: "words",
      visible: (ino) => ino % 50 === 49,
    })
    expect(results.map(({ ino }) => ino % 50)).toEqual([49, 49, 49, 49, 49])
  })

  test("shows the best part with its lines, and each part of the score", async () => {
    using index = filled()
    using reader = index.reader()
    const { results, degraded } = await new Searcher(reader, undefined).search("heron", { mode: "words" })
    expect(results).toHaveLength(1)
    const [hit] = results
    expect(hit?.chunk).toMatchObject({ firstLine: 3, lastLine: 3 })
    expect(hit?.snippet).toEqual({ text: "but a heron", highlights: [[6, 11]], firstLine: 3 })
    const { fused = 0, secondChunk = 0, name } = hit?.parts ?? {}
    expect(hit?.score).toBeCloseTo(fused + secondChunk + (name?.score ?? 0), 10)
    expect(degraded).toEqual([])
  })

  test("says what is missing when meaning was asked for and there is none", async () => {
    using index = filled()
    using reader = index.reader()
    for (const mode of ["hybrid", "meaning"] as const) {
      const answer = await new Searcher(reader, undefined).search("heron", { mode })
      expect(answer.degraded).toEqual(["there is no embedder: found by words alone"])
      expect(answer.results.map(({ ino }) => ino)).toEqual([4])
    }
  })

  test("an unknown type names those that there are", async () => {
    await expect(find("supplier type:pdf")).rejects.toThrow("nothing in the index is of type `pdf`")
  })
})

describe("a snippet", () => {
  test("is of the lines with the most different words, with whole characters", () => {
    const text = ["first", "a heron", "second", "heron and otter", "last", "x".repeat(500)].join("\n")
    expect(snippetOf(text, ["heron", "otters"], 10)).toMatchObject({
      firstLine: 11,
      highlights: [
        [2, 7],
        [15, 20],
        [25, 30],
      ],
    })
  })

  test("of one endless line is cut around its first hit", () => {
    const { text, highlights } = snippetOf(
      `${"\u{1f426}".repeat(5000)} heron ${"y ".repeat(5000)}`,
      ["heron"],
      1,
    )
    const [start, end] = highlights[0] ?? [0, 0]
    expect(text.slice(start, end)).toBe("heron")
    expect(text.length).toBeLessThanOrEqual(300)
    expect(Buffer.from(text).toString()).toBe(text)
  })
})
