/**
 * The embedder from a model's directory. The model is made here: a table of vectors, looked up by token. The tests that run it need
 * onnxruntime-node, which is no dependency: CLAWFS_TEST_ONNXRUNTIME=/path/to/node_modules/onnxruntime-node.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { afterAll, describe, expect, test } from "vitest"
import { OnnxEmbedder } from "../../../clawfs/search/embed/onnx.ts"
import { readTokenizer } from "../../../clawfs/search/embed/wordpiece.ts"
import { embedderConfig, type OnnxEmbedderConfig } from "../../../schema/search.ts"
import { program } from "../../helpers/programs.ts"

const tokens = [
  "[PAD]",
  "[UNK]",
  "[CLS]",
  "[SEP]",
  "the",
  "her",
  "##on",
  "otter",
  "##s",
  "!",
  "日",
  "un",
  "##able",
]
const tokenizer = {
  normalizer: { type: "BertNormalizer", lowercase: true, strip_accents: null },
  pre_tokenizer: { type: "BertPreTokenizer" },
  model: {
    type: "WordPiece",
    vocab: Object.fromEntries(tokens.map((token, i) => [token, i])),
    unk_token: "[UNK]",
  },
}

describe("WordPiece", () => {
  const encode = (text: string, most = 99) =>
    readTokenizer(JSON.stringify(tokenizer))
      .encode(text, most)
      .map((id) => tokens[id])

  test.each([
    ["The herons!", ["the", "her", "##on", "##s", "!"]],
    ["unable ÔTTERS", ["un", "##able", "otter", "##s"]],
    ["日 日日", ["日", "日", "日"]],
    ["quokka the", ["[UNK]", "the"]],
    ["the\u0000\u200b\tthe", ["the", "the"]],
    ["x".repeat(101), ["[UNK]"]],
    ["", []],
  ])("%j", (text, pieces) => expect(encode(text)).toEqual(["[CLS]", ...pieces, "[SEP]"]))

  test("cuts long texts, with the mark of their end", () => {
    expect(encode("the ".repeat(50), 5)).toEqual(["[CLS]", "the", "the", "the", "[SEP]"])
  })

  test.each([
    ["no JSON", "{", "is no JSON"],
    ["anything else", '{"a": 1}', "is no tokenizer"],
    [
      "Unigram",
      JSON.stringify({ ...tokenizer, model: { type: "Unigram", vocab: [["a", -1]] } }),
      "of type Unigram, only WordPiece is known",
    ],
    [
      "another way to split",
      JSON.stringify({ ...tokenizer, pre_tokenizer: { type: "Metaspace" } }),
      "does not split words as BERT does",
    ],
    [
      "no marks",
      JSON.stringify({ ...tokenizer, model: { ...tokenizer.model, vocab: { a: 0 } } }),
      "has no token [CLS]",
    ],
  ])("%s is refused", (_what, json, message) => expect(() => readTokenizer(json)).toThrow(message))
})

const DIMENSIONS = 128
const directory = mkdtempSync(join(tmpdir(), "clawfs-onnx-"))
afterAll(() => rmSync(directory, { recursive: true }))

/** Protocol Buffers: a field with bytes, and one with a number. */
const bytes = (field: number, value: Uint8Array | string): Buffer => {
  const data = Buffer.from(value as string)
  return Buffer.concat([varint(field * 8 + 2), varint(data.length), data])
}
const integer = (field: number, value: number): Buffer => Buffer.concat([varint(field * 8), varint(value)])
function varint(value: number): Buffer {
  return value < 128 ? Buffer.of(value) : Buffer.concat([Buffer.of((value & 127) | 128), varint(value >>> 7)])
}

/** onnx.proto: a graph that gathers rows of a table by input_ids. */
function onnxModel(table: Float32Array): Buffer {
  const shape = (names: readonly string[]): Buffer =>
    bytes(2, Buffer.concat(names.map((name) => bytes(1, bytes(2, name)))))
  const value = (name: string, type: number, names: readonly string[]): Buffer =>
    Buffer.concat([bytes(1, name), bytes(2, bytes(1, Buffer.concat([integer(1, type), shape(names)])))])
  const node = Buffer.concat([
    bytes(1, "table"),
    bytes(1, "input_ids"),
    bytes(2, "last_hidden_state"),
    bytes(4, "Gather"),
  ])
  const tensor = Buffer.concat([
    ...[integer(1, table.length / DIMENSIONS), integer(1, DIMENSIONS), integer(2, 1), bytes(8, "table")],
    bytes(9, Buffer.from(table.buffer)),
  ])
  const graph = Buffer.concat([
    ...[bytes(1, node), bytes(2, "g"), bytes(5, tensor)],
    ...["input_ids", "attention_mask"].map((name) => bytes(11, value(name, 7, ["batch", "tokens"]))),
    bytes(12, value("last_hidden_state", 1, ["batch", "tokens", "dimensions"])),
  ])
  return Buffer.concat([integer(1, 8), bytes(7, graph), bytes(8, integer(2, 13))])
}

/** Token i is a vector with i + 1 at place i. */
const table = new Float32Array(tokens.length * DIMENSIONS)
for (let i = 0; i < tokens.length; i++) table[i * DIMENSIONS + i] = i + 1
const config = (more: Partial<OnnxEmbedderConfig> = {}): OnnxEmbedderConfig =>
  embedderConfig.parse({ provider: "onnx", directory, dimensions: DIMENSIONS, ...more }) as OnnxEmbedderConfig
const child = program("clawfs/search/embed/onnx-main.ts")

test("a directory that is no model's is refused by what it lacks", async () => {
  await expect(OnnxEmbedder.open(config({ directory: "/nowhere" }))).rejects.toThrow(
    "/nowhere is no sentence-transformers model: there is no tokenizer.json in it",
  )
  writeFileSync(join(directory, "tokenizer.json"), JSON.stringify(tokenizer))
  await expect(OnnxEmbedder.open(config())).rejects.toThrow("there is no model.onnx in it")
})

test("without onnxruntime-node it says how to install it", async () => {
  writeFileSync(join(directory, "model.onnx"), onnxModel(table))
  const embedder = await OnnxEmbedder.open(config(), {
    program: child,
    runtime: "onnxruntime-that-is-not-there",
  })
  await expect(embedder.embedQuery("x")).rejects.toMatchObject({
    message: "onnxruntime-node is not installed",
    hint: expect.stringContaining("npm install") as string,
  })
  expect(embedder.state().isReady).toBe(false)
  await embedder.close()
})

const installed =
  process.env["CLAWFS_TEST_ONNXRUNTIME"] ??
  join(import.meta.dirname, "../../../node_modules/onnxruntime-node")
const isInstalled = existsSync(join(installed, "package.json"))
if (!isInstalled) console.log("skipped: running ONNX models, as onnxruntime-node is not installed")

describe.skipIf(!isInstalled)("with ONNX Runtime", () => {
  const main = isInstalled
    ? (JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as { main: string }).main
    : ""
  const options = { program: child, runtime: pathToFileURL(join(installed, main)).href }

  test("vectors are the mean of the tokens' vectors, without padding", async () => {
    writeFileSync(join(directory, "model.onnx"), onnxModel(table))
    const embedder = await OnnxEmbedder.open(config({ documentPrefix: "the " }), options)
    try {
      const [short, long] = await embedder.embedDocuments(["", "heron otters"])
      expect(Array.from(short?.subarray(0, 6) ?? [])).toEqual([0, 0, 1, 4 / 3, 5 / 3, 0].map(Math.fround))
      expect(Array.from(long?.subarray(0, 9) ?? [])).toEqual(
        [0, 0, 3, 4, 5, 6, 7, 8, 9].map((x) => expect.closeTo(x / 7, 5) as number),
      )
      const first = await OnnxEmbedder.open(config({ pooling: "cls" }), options)
      expect((await first.embedQuery("otter"))?.[2]).toBe(3)
      expect(first.id).not.toBe(embedder.id)
      await first.close()
      expect(embedder.state()).toEqual({ isReady: true, problem: "" })
    } finally {
      await embedder.close()
    }
  })

  test("a broken model and wrong dimensions are said", async () => {
    writeFileSync(join(directory, "model.onnx"), onnxModel(table))
    const wrong = await OnnxEmbedder.open(config({ dimensions: 256 }), options)
    await expect(wrong.embedQuery("otter")).rejects.toThrow(
      "the model gives 128 dimensions, configured are 256",
    )
    await wrong.close()
    writeFileSync(join(directory, "model.onnx"), "no model")
    const broken = await OnnxEmbedder.open(config(), options)
    await expect(broken.embedQuery("otter")).rejects.toThrow("is no model that ONNX Runtime can run")
    await broken.close()
  })
})
