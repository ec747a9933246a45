/** The built-in embedder: the same everywhere, near for what belongs together, and its mathematics. */
import { pathToFileURL } from "node:url"
import { describe, expect, test } from "vitest"
import { BuiltinEmbedder } from "../../../clawfs/search/embed/builtin.ts"
import { learn, worthLearning } from "../../../clawfs/search/embed/learn.ts"
import { orthonormalize, times, transposedTimes } from "../../../clawfs/search/embed/matrix.ts"
import { decodeModel, emptyModel, encodeModel } from "../../../clawfs/search/embed/model.ts"
import { normalized } from "../../../clawfs/search/index/normalize.ts"
import { product } from "../../../clawfs/search/index/simd.ts"
import { learnFromIndex } from "../../../clawfs/search/index/learn.ts"
import { program } from "../../helpers/programs.ts"
import { Random } from "../../model/random.ts"
import { TestIndex } from "./support.ts"

const birds = ["heron", "stork", "egret", "bittern", "crane", "curlew", "plover", "avocet", "godwit", "snipe"]
const tools = ["chisel", "saw", "mallet", "rasp", "gouge", "clamp", "auger", "bevel", "adze", "router"]
/** Texts of two worlds: words of one keep company, but not each with each. */
function texts(count: number): string[] {
  const random = new Random(3)
  const common = ["morning", "table", "letter", "number", "garden", "little"]
  const some = (from: readonly string[]): string => random.pick(from)
  return Array.from({ length: count }, (_, i) =>
    i % 2 === 0
      ? `${some(birds)} marsh ${some(birds)} reeds ${some(birds)} wings ${some(common)}`
      : `${some(tools)} bench ${some(tools)} timber ${some(tools)} joint ${some(common)}`,
  )
}

const embedderOf = (dimensions: number, from: readonly string[]): BuiltinEmbedder =>
  new BuiltinEmbedder(from.length === 0 ? emptyModel(dimensions) : decodeModel(learn(from, { dimensions })))

const cosine = (embedder: BuiltinEmbedder, a: string, b: string): number => {
  const [x, y] = [a, b].map((text) =>
    normalized(embedder.vector(text) ?? new Float32Array(), embedder.dimensions),
  )
  return x === undefined || y === undefined ? Number.NaN : product(x, 0, y)
}

test("the same texts give the same model, and its id says which", () => {
  const [a, b] = [embedderOf(384, texts(300)), embedderOf(384, texts(300))]
  expect(a.id).toBe(b.id)
  expect(a.id).toMatch(/^builtin:lsa:384:[0-9a-f]{12}$/)
  expect(a.vector("a heron on the bench")).toEqual(b.vector("a heron on the bench"))
  expect(embedderOf(384, texts(302)).id).not.toBe(a.id)
  expect(embedderOf(384, []).id).toBe("builtin:lsa:384:0")
})

test.each([128, 200, 1536, 4096])("%i dimensions keep their proportion", (dimensions) => {
  const embedder = embedderOf(dimensions, texts(300))
  const vector = embedder.vector("heron and chisel")
  expect(vector).toHaveLength(dimensions)
  expect(embedder.model.width).toBe(Math.round(dimensions / 6))
  expect(Math.hypot(...(vector ?? []))).toBeCloseTo(1, 5)
})

test("misspelt words and other forms are nearer than other words, before anything is learned", () => {
  const embedder = embedderOf(1536, [])
  expect(cosine(embedder, "suplier contrat", "supplier contract")).toBeGreaterThan(0.15)
  expect(cosine(embedder, "supplier contract", "heron marsh")).toBeLessThan(0.1)
  expect(cosine(embedder, "connected", "connecting")).toBeGreaterThan(0.6)
})

test("words that keep the same company are near once it has learned", () => {
  const embedder = embedderOf(768, texts(400))
  const near = birds.flatMap((a) => birds.filter((b) => b !== a).map((b) => cosine(embedder, a, b)))
  const far = birds.flatMap((a) => tools.map((b) => cosine(embedder, a, b)))
  const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length
  expect(mean(near)).toBeGreaterThan(mean(far) + 0.05)
})

test("a text without words has no vector, one of stop words has", () => {
  const embedder = embedderOf(384, [])
  expect(embedder.vector("--- *** \n")).toBeUndefined()
  expect(embedder.vector("to be or not to be")).toBeDefined()
})

describe("a model", () => {
  test("comes back from its bytes", () => {
    const bytes = learn(texts(250), { dimensions: 384 })
    const model = decodeModel(bytes)
    expect(model.texts).toBe(250)
    expect(encodeModel(model).equals(bytes)).toBe(true)
  })

  test("that is damaged is refused", () => {
    const bytes = learn(texts(250), { dimensions: 384 })
    for (const damaged of [
      Buffer.alloc(0),
      bytes.subarray(0, 19),
      bytes.subarray(0, -1),
      Buffer.from("x".repeat(300_000)),
    ])
      expect(() => decodeModel(damaged)).toThrow("model is damaged")
  })

  test("is learned anew when there is half as much again", () => {
    expect([
      worthLearning(0, 199),
      worthLearning(0, 200),
      worthLearning(200, 299),
      worthLearning(200, 300),
    ]).toEqual([false, true, false, true])
  })

  test("of few or equal texts is learned without a fault", () => {
    for (const few of [[""], ["heron"], ["heron", "heron"], Array.from({ length: 300 }, () => "heron marsh")])
      expect(embedderOf(384, few).vector("heron")?.every(Number.isFinite)).toBe(true)
  })
})

test("orthonormal columns span what they spanned before", () => {
  const random = new Random(9)
  const [rows, width] = [60, 7]
  const x = new Float32Array(rows * width).map(() => random.next() - 0.5)
  const before = x.slice()
  orthonormalize(x, rows, width)
  const column = (of: Float32Array, k: number): number[] =>
    Array.from({ length: rows }, (_, i) => of[i * width + k] ?? 0)
  const dot = (a: readonly number[], b: readonly number[]): number =>
    a.reduce((sum, v, i) => sum + v * (b[i] ?? 0), 0)
  for (let a = 0; a < width; a++) {
    for (let b = 0; b < width; b++) expect(dot(column(x, a), column(x, b))).toBeCloseTo(a === b ? 1 : 0, 5)
    // Projected onto the new columns the old one is whole.
    const old = column(before, a)
    const projected = Array.from({ length: width }, (_, k) => dot(old, column(x, k)) ** 2)
    expect(projected.reduce((sum, v) => sum + v, 0)).toBeCloseTo(dot(old, old), 4)
  }
})

test("products with a sparse matrix are those with the dense one", () => {
  // [[1, 0, 2], [0, 3, 0]]
  const a = {
    rows: 2,
    columns: 3,
    pointers: Uint32Array.of(0, 2, 3),
    indices: Uint32Array.of(0, 2, 1),
    values: Float32Array.of(1, 2, 3),
  }
  expect([...times(a, Float32Array.of(1, 10, 2, 20, 3, 30), 2)]).toEqual([7, 70, 6, 60])
  expect([...transposedTimes(a, Float32Array.of(1, 10, 2, 20), 2)]).toEqual([1, 10, 6, 60, 2, 20])
})

test("learns from an index in a thread of its own, the same from the same files", async () => {
  const options = { dimensions: 384, program: pathToFileURL(program("clawfs/search/index/learn-main.ts")) }
  const models = []
  for (const order of [1, -1]) {
    using index = new TestIndex()
    const files = texts(300).map((text, i) => [i + 1, `${text} ${i}`] as const)
    for (const [ino, text] of order === 1 ? files : files.toReversed()) index.put(ino, `f${ino}`, text)
    models.push(await learnFromIndex(index.directory, options))
  }
  expect(models[0]?.model.texts).toBe(300)
  expect(models[0]?.bytes.equals(models[1]?.bytes ?? Buffer.alloc(0))).toBe(true)
  await expect(learnFromIndex("/nowhere", options)).rejects.toThrow("there is no search index yet")
  await expect(
    learnFromIndex("/nowhere", { ...options, signal: AbortSignal.abort(new Error("stop")) }),
  ).rejects.toThrow("stop")
})
