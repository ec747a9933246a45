/** --grep: never a line less than a pass over all files finds. */
import { afterAll, describe, expect, test } from "vitest"
import { candidates } from "../../../clawfs/search/index/gram-search.ts"
import { gramsOf } from "../../../clawfs/search/index/grams.ts"
import { grep, LineMatcher, type GrepOptions } from "../../../clawfs/search/query/grep.ts"
import { Random } from "../../model/random.ts"
import { TestIndex } from "./support.ts"

const words = [
  "heron",
  "Otter",
  "badger_1",
  "std::map",
  "naïve",
  "the",
  "kelvin \u212a",
  "ſharp",
  "日本語",
  "a.b",
  "fn(x)",
  "[0]",
  "x\tz",
]

function someText(random: Random): string {
  const line = (): string =>
    Array.from({ length: random.below(6) }, () => random.pick(words)).join(random.pick([" ", "", "-"]))
  return Array.from({ length: 1 + random.below(12) }, line).join("\n")
}

/** 700 files, some replaced, some removed: two segments and some that wait. */
function filled(): { index: TestIndex; texts: Map<number, string> } {
  const random = new Random(8)
  const index = new TestIndex()
  const texts = new Map<number, string>()
  index.writer.db.pragma("synchronous = OFF")
  for (let i = 0; i < 700; i++) {
    const ino = 1 + random.below(500)
    if (random.below(10) === 0) {
      index.writer.transact(() => index.writer.removeDocument(ino))
      texts.delete(ino)
    } else {
      const text = someText(random)
      index.put(ino, `d${ino % 7}/f${ino}`, text)
      texts.set(ino, text)
    }
  }
  return { index, texts }
}

async function lines(index: TestIndex, texts: Map<number, string>, pattern: string, options: GrepOptions) {
  using reader = index.reader()
  const found: string[] = []
  for await (const { ino, line, text } of grep(
    reader,
    pattern,
    (each) => Promise.resolve(texts.get(each)),
    options,
  ))
    found.push(`${ino}:${line}:${text}`)
  return found.sort()
}

/** What follows the last end of a line is a line only if there is something. */
const linesOf = (text: string): string[] =>
  text
    .replace(/\n$/, "")
    .split(text === "" ? "x" : "\n")
    .filter(() => text !== "")

function expected(
  texts: Map<number, string>,
  pattern: string,
  { isCaseless = false, isLiteral = false }: GrepOptions,
): string[] {
  const flags = isCaseless ? "si" : "s"
  const escaped = pattern.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")
  let regex: RegExp
  try {
    regex = new RegExp(isLiteral ? escaped : pattern, `${flags}u`)
  } catch {
    regex = new RegExp(pattern, flags)
  }
  return [...texts]
    .flatMap(([ino, text]) =>
      linesOf(text).flatMap((line, i) => (regex.test(line) ? [`${ino}:${i + 1}:${line}`] : [])),
    )
    .sort()
}

const patterns = [
  ...[
    "heron",
    "her",
    "he",
    "h",
    "Otter",
    "badger_\\d",
    "std::map",
    "^heron",
    "heron$",
    "heron.*Otter",
    "(heron|Otter)the",
  ],
  ...[
    "heron(the|a\\.b)?-",
    "(?:heron)+",
    "heron{2}",
    "(heron ){2,}",
    "[hO]e?ron",
    "[^h]eron",
    "na.ve",
    "naïve",
    "日本",
    "日本語日本語",
  ],
  ...[
    "K",
    "kelvin",
    "\u212a",
    "sharp",
    "ſharp",
    "a\\.b",
    "a.b",
    "fn\\(x\\)",
    "\\[0\\]",
    "x\\tz",
    "\\x68eron",
    "\\u0068eron",
    "\\u{68}eron",
  ],
  ...[
    "(?=heron)h",
    "(?<!x)heron",
    "(?<name>heron).*\\k<name>",
    "(he)ron\\1",
    "\\bthe\\b",
    "\\p{Lu}tter",
    "the|",
    "()",
    "(|heron)Otter",
    "hero[n]",
    "her[aeiou]n",
  ],
  ...[
    "heron|Otter|badger|naïve|std::map",
    "(heron|Otter|badger)(the|a|b|c|d|e|f)x?",
    "h\\-eron",
    "\\-",
    "x{0}heron",
    "(heron){0,1}the",
    "nothing at all",
  ],
]

describe("grep finds what a pass over all texts finds", () => {
  const { index, texts } = filled()
  afterAll(() => index[Symbol.dispose]())

  test.each(patterns)("%s", async (pattern) => {
    for (const isCaseless of [false, true]) {
      const options = { isCaseless }
      expect(await lines(index, texts, pattern, options)).toEqual(expected(texts, pattern, options))
    }
  })

  test("for strings as they stand", async () => {
    for (const text of ["a.b", "fn(x)", "[0]", "std::map", "*", "\\"])
      for (const isCaseless of [false, true]) {
        const options = { isLiteral: true, isCaseless }
        expect(await lines(index, texts, text, options)).toEqual(expected(texts, text, options))
      }
  })

  test("for patterns that nobody thought of", async () => {
    const random = new Random(12)
    const bits = [
      "heron",
      "Otter",
      "the",
      ".",
      "\\w",
      "[a-f]",
      "[ht]",
      "(",
      ")",
      "|",
      "?",
      "*",
      "+",
      "{1,2}",
      "^",
      "$",
      "\\b",
      "na",
      "ï",
      "(?:",
      "(?=",
      "-",
      " ",
      "k",
      "s",
    ]
    let tried = 0
    while (tried < 300) {
      const pattern = Array.from({ length: 1 + random.below(6) }, () => random.pick(bits)).join("")
      const options = { isCaseless: random.chance(0.4) }
      try {
        new LineMatcher(pattern, options)
      } catch {
        // Not a regular expression, or empty.
        continue
      }
      tried++
      expect(await lines(index, texts, pattern, options), pattern).toEqual(expected(texts, pattern, options))
    }
  })

  test("after merging, too, and reads few files for a rare string", async () => {
    while (index.writer.tidy());
    expect(await lines(index, texts, "badger_1 ?heron", {})).toEqual(expected(texts, "badger_1 ?heron", {}))
    using reader = index.reader()
    const { plan } = new LineMatcher("heron-Otter-badger")
    const few = candidates(reader, plan, undefined)
    expect(few.length).toBeLessThan(texts.size / 4)
  })
})

test("only what is selected and visible is read", async () => {
  using index = new TestIndex()
  for (const [ino, path] of [
    [1, "a/x"],
    [2, "a/y"],
    [3, "b/x"],
  ] as const)
    index.put(ino, path, "a heron\nan otter")
  using reader = index.reader()
  const read: number[] = []
  const matches = []
  const options = { selection: { below: [Buffer.from("a")] }, visible: (ino: number) => ino !== 2 }
  for await (const match of grep(
    reader,
    "otter",
    (ino) => (read.push(ino), Promise.resolve("a heron\nan otter")),
    options,
  ))
    matches.push(match)
  expect(matches).toEqual([{ ino: 1, path: Buffer.from("a/x"), line: 2, text: "an otter" }])
  expect(read).toEqual([1])
})

test("a file that is gone meanwhile is passed over", async () => {
  using index = new TestIndex()
  index.put(1, "a", "heron")
  expect(await lines(index, new Map(), "heron", {})).toEqual([])
})

test.each(["(", "[", "a{2,1}", "*", ""])("%j is refused", (pattern) => {
  expect(() => new LineMatcher(pattern)).toThrow(/no regular expression|empty/)
})

test("grams fold ASCII letters and never go over the end of a line", () => {
  expect(gramsOf("HeRon")).toEqual(gramsOf("heron"))
  expect(gramsOf("he\nro\nn")).toHaveLength(0)
  expect(gramsOf("abcabcabc")).toHaveLength(3)
})
