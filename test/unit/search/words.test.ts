/** Words and stems are those of SQLite's tokenizer: queries, highlights and vectors must mean the same words as the index. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { stem } from "../../../clawfs/search/embed/stem.ts"
import { wordsOf } from "../../../clawfs/search/embed/words.ts"
import { pathWords } from "../../../clawfs/search/index/path-words.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { repository } from "../../helpers/programs.ts"

/** Each word as FTS5 with `tokenize` puts it into its index. */
function tokens(words: readonly string[], tokenize: string): string[][] {
  using db = new Database(":memory:", { create: true })
  db.execute(`CREATE VIRTUAL TABLE f USING fts5(w, tokenize='${tokenize}')`)
  db.execute("CREATE VIRTUAL TABLE v USING fts5vocab(f, instance)")
  const insert = db.query<[number, string]>("INSERT INTO f (rowid, w) VALUES (?, ?)")
  for (const [i, word] of words.entries()) insert.run(i, word)
  const found = words.map((): string[] => [])
  for (const [row, term] of db
    .query<[], [number, string]>("SELECT doc, term FROM v ORDER BY doc, offset")
    .all())
    found[row]?.push(term)
  return found
}

const suffixes =
  "s es ed ing ly ness ful ation ization ational ability iveness ously ement ion er ies y e ll able ism".split(
    " ",
  )

test("stems are those of FTS5's porter", () => {
  const docs = readdirSync(join(repository, "docs")).filter((name) => name.endsWith(".md"))
  const text = docs.map((name) => readFileSync(join(repository, "docs", name), "utf8")).join("\n")
  const real = [...new Set(wordsOf(text))].filter((word) => /^[a-z]+$/.test(word))
  const words = [...real, ...real.slice(0, 400).flatMap((word) => suffixes.map((suffix) => word + suffix))]
  expect(words.length).toBeGreaterThan(5000)
  const expected = tokens(words, "porter unicode61").map(([token]) => token)
  const wrong = words.flatMap((word, i) =>
    stem(word) === expected[i] ? [] : [[word, stem(word), expected[i]]],
  )
  expect(wrong).toEqual([])
})

test.each([
  "Ärger mit Straßenbahnen, naïve café — №5",
  "utf-8, read_file() and std::vector<int>; 3.14 e2e",
  "日本語のテキスト 한국어 русский Ёлка",
  "tab\tand\u0000control\u0001marks… “quotes” 50%",
])("words of %j are those of unicode61", (text) => {
  expect(wordsOf(text)).toEqual(tokens([text], "unicode61")[0])
})

test("names are also found by the words inside of them", () => {
  expect(pathWords("readFileSync2.test_case.TS").split(" ")).toEqual(
    expect.arrayContaining(["readFileSync2", "read", "File", "Sync", "2", "test", "case", "TS"]),
  )
  expect(pathWords("HTTPServer")).toBe("HTTPServer HTTP Server")
  expect(pathWords("---")).toBe("")
})
