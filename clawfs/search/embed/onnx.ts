/** Embeds with a sentence-transformers model from a local directory, by ONNX Runtime in a child process. Nothing is ever downloaded. */
import { createHash } from "node:crypto"
import { createReadStream, existsSync, readFileSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import { pipeline } from "node:stream/promises"
import { fileURLToPath } from "node:url"
import { describe, Fault, kindOfThrown } from "../../core/fault.ts"
import type { OnnxEmbedderConfig } from "../../../schema/search.ts"
import { HelperProcess } from "../helper-process.ts"
import type { Embedder, EmbedderState } from "./embedder.ts"
import type { OnnxAnswer, OnnxRequest } from "./onnx-messages.ts"
import { readTokenizer } from "./wordpiece.ts"

/** Processes can't be TypeScript under Node 20; where this file is compiled, so is that one. */
const onnxMain = fileURLToPath(new URL("./onnx-main.js", import.meta.url))
const MODEL_PATHS = ["model.onnx", "onnx/model.onnx"]
const OPEN_MS = 120_000
const EMBED_MS = 120_000
/** Texts at once: padding and activations of more take much memory. */
const BATCH = 16

export interface OnnxOptions {
  /** Another path of onnx-main.js, and another module than onnxruntime-node; for tests. */
  readonly program?: string
  readonly runtime?: string
}

export class OnnxEmbedder implements Embedder {
  readonly id: string
  readonly dimensions: number
  readonly #config: OnnxEmbedderConfig
  readonly #request: OnnxRequest
  readonly #program: string
  #process: HelperProcess<OnnxRequest, OnnxAnswer> | undefined
  #opening: Promise<OnnxAnswer> | undefined
  #problem = ""

  private constructor(config: OnnxEmbedderConfig, version: string, request: OnnxRequest, program: string) {
    this.#config = config
    this.#request = request
    this.#program = program
    this.dimensions = config.dimensions
    this.id = `onnx:${basename(resolve(config.directory))}:${config.dimensions}:${version}`
  }

  /** Looks at the directory; the model itself is loaded at the first use. Throws `Fault` if it is no model's. */
  static async open(config: OnnxEmbedderConfig, options: OnnxOptions = {}): Promise<OnnxEmbedder> {
    const { directory, maxTokens, pooling, threads } = config
    const tokenizer = textOf(join(directory, "tokenizer.json"), directory)
    readTokenizer(tokenizer)
    const model = MODEL_PATHS.map((path) => join(directory, path)).find(existsSync)
    if (model === undefined) throw noModel(directory, "there is no model.onnx in it")
    const hash = createHash("sha256").update(tokenizer)
    hash.update(JSON.stringify([maxTokens, pooling, config.queryPrefix, config.documentPrefix]))
    await pipeline(createReadStream(model), async (parts: AsyncIterable<Buffer>) => {
      for await (const part of parts) hash.update(part)
    })
    const runtime = options.runtime ?? "onnxruntime-node"
    const request = { kind: "open", ...{ model, tokenizer, maxTokens, pooling, threads, runtime } } as const
    return new OnnxEmbedder(config, hash.digest("hex").slice(0, 12), request, options.program ?? onnxMain)
  }

  async embedDocuments(
    texts: readonly string[],
    signal?: AbortSignal,
  ): Promise<(Float32Array | undefined)[]> {
    const vectors: (Float32Array | undefined)[] = []
    for (let i = 0; i < texts.length; i += BATCH) {
      signal?.throwIfAborted()
      vectors.push(
        ...(await this.#embed(texts.slice(i, i + BATCH).map((text) => this.#config.documentPrefix + text))),
      )
    }
    return vectors
  }

  async embedQuery(text: string, signal?: AbortSignal): Promise<Float32Array | undefined> {
    signal?.throwIfAborted()
    const [vector] = await this.#embed([this.#config.queryPrefix + text])
    return vector
  }

  state(): EmbedderState {
    return { isReady: this.#problem === "", problem: this.#problem }
  }

  close(): Promise<void> {
    this.#process?.kill()
    this.#process = undefined
    this.#opening = undefined
    return Promise.resolve()
  }

  async #embed(texts: string[]): Promise<(Float32Array | undefined)[]> {
    try {
      const answer = await (await this.#ready()).ask({ kind: "embed", texts }, EMBED_MS)
      if (answer.kind !== "vectors") throw faultOf(answer)
      const wrong = answer.vectors.find(({ length }) => length !== this.dimensions)
      if (wrong !== undefined)
        throw new Fault(
          "invalid",
          `the model gives ${wrong.length} dimensions, configured are ${this.dimensions}`,
        )
      this.#problem = ""
      return [...answer.vectors]
    } catch (thrown) {
      this.#problem = describe(thrown)
      // Whatever it was in the middle of: the next try begins with a new process.
      await this.close()
      throw thrown
    }
  }

  async #ready(): Promise<HelperProcess<OnnxRequest, OnnxAnswer>> {
    const process = (this.#process ??= new HelperProcess(this.#program, "the ONNX model"))
    this.#opening ??= process.ask(this.#request, OPEN_MS)
    const answer = await this.#opening
    if (answer.kind !== "opened") throw faultOf(answer)
    return process
  }
}

function faultOf(answer: OnnxAnswer): Fault {
  if (answer.kind === "problem") return new Fault(answer.fault, answer.message, { hint: answer.hint })
  return new Fault("bug", `BUG: the ONNX process answered "${answer.kind}"`)
}

function textOf(path: string, directory: string): string {
  try {
    return readFileSync(path, "utf8")
  } catch (cause) {
    if (kindOfThrown(cause) === "not-found") throw noModel(directory, "there is no tokenizer.json in it")
    throw new Fault(kindOfThrown(cause), `${path} can't be read`, { cause })
  }
}

const noModel = (directory: string, why: string): Fault =>
  new Fault("invalid", `${directory} is no sentence-transformers model: ${why}`, {
    hint: "it must have tokenizer.json and model.onnx (or onnx/model.onnx)",
  })
