/** The child process that runs an ONNX model: a model can take any amount of time and memory, and native code can crash. */
import { constants, setPriority } from "node:os"
import { describe, Fault } from "../../core/fault.ts"
import { killWithParent } from "../../sys/kill-with-parent.ts"
import type { Numbered } from "../helper-process.ts"
import type { OnnxAnswer, OnnxRequest } from "./onnx-messages.ts"
import { readTokenizer, type Tokenizer } from "./wordpiece.ts"

/** The part of onnxruntime-node that is used; it is an optional package, so its own types may be missing. */
interface Tensor {
  readonly data: Float32Array
  readonly dims: readonly number[]
}
interface Session {
  readonly inputNames: readonly string[]
  readonly outputNames: readonly string[]
  run(inputs: Readonly<Record<string, Tensor>>): Promise<Readonly<Record<string, Tensor>>>
}
interface Runtime {
  readonly Tensor: new (type: string, data: BigInt64Array, dims: readonly number[]) => Tensor
  readonly InferenceSession: { create(path: string, options: object): Promise<Session> }
}

interface Open {
  readonly runtime: Runtime
  readonly session: Session
  readonly tokenizer: Tokenizer
  readonly request: Extract<OnnxRequest, { kind: "open" }>
}

let opened: Open | undefined

async function open(request: Extract<OnnxRequest, { kind: "open" }>): Promise<OnnxAnswer> {
  const tokenizer = readTokenizer(request.tokenizer)
  const runtime = await loadRuntime(request.runtime)
  const session = await sessionOf(runtime, request)
  const foreign = session.inputNames.find((name) => !INPUTS.includes(name))
  if (foreign !== undefined)
    throw new Fault("unsupported", `the model wants an input "${foreign}", which is not known`)
  opened = { runtime, session, tokenizer, request }
  return { kind: "opened" }
}

const INPUTS = ["input_ids", "attention_mask", "token_type_ids"]

async function loadRuntime(name: string): Promise<Runtime> {
  try {
    const loaded = (await import(name)) as Runtime & { default?: Runtime }
    return loaded.default ?? loaded
  } catch (cause) {
    throw new Fault("unsupported", "onnxruntime-node is not installed", {
      cause,
      hint: "ONNXRUNTIME_NODE_INSTALL=skip npm install --global onnxruntime-node@1.30.0, beside clawfs",
    })
  }
}

async function sessionOf(
  runtime: Runtime,
  { model, threads }: Extract<OnnxRequest, { kind: "open" }>,
): Promise<Session> {
  try {
    return await runtime.InferenceSession.create(model, {
      ...{ executionProviders: ["cpu"], intraOpNumThreads: threads, interOpNumThreads: 1 },
      logSeverityLevel: 4,
    })
  } catch (cause) {
    throw new Fault("invalid", `${model} is no model that ONNX Runtime can run`, { cause })
  }
}

async function embed(texts: readonly string[]): Promise<OnnxAnswer> {
  if (opened === undefined) throw new Fault("bug", "BUG: no model is open")
  const { runtime, session, tokenizer, request } = opened
  const ids = texts.map((text) => tokenizer.encode(text, request.maxTokens))
  const width = Math.max(...ids.map(({ length }) => length))
  const filled = (value: (row: readonly number[], i: number) => number): Tensor => {
    const data = new BigInt64Array(ids.length * width)
    for (const [at, row] of ids.entries())
      for (let i = 0; i < width; i++) data[at * width + i] = BigInt(value(row, i))
    return new runtime.Tensor("int64", data, [ids.length, width])
  }
  const inputs: Record<string, Tensor> = {
    input_ids: filled((row, i) => row[i] ?? tokenizer.padding),
    attention_mask: filled((row, i) => (i < row.length ? 1 : 0)),
    token_type_ids: filled(() => 0),
  }
  const wanted = Object.fromEntries(
    Object.entries(inputs).filter(([name]) => session.inputNames.includes(name)),
  )
  const outputs = await session.run(wanted)
  const output =
    outputs["sentence_embedding"] ?? outputs["last_hidden_state"] ?? outputs[session.outputNames[0] ?? ""]
  if (output === undefined) throw new Fault("unsupported", "the model has no output")
  return { kind: "vectors", vectors: ids.map((row, at) => pooled(output, at, row.length)) }
}

/** One vector of a text's tokens; an output that is one already is taken as it is. */
function pooled({ data, dims }: Tensor, at: number, tokens: number): Float32Array {
  const [, second = 0, third] = dims
  if (third === undefined) return data.slice(at * second, (at + 1) * second)
  const start = at * second * third
  if (opened?.request.pooling === "cls") return data.slice(start, start + third)
  const mean = new Float32Array(third)
  for (let token = 0; token < tokens; token++)
    for (let i = 0; i < third; i++) mean[i] = (mean[i] ?? 0) + (data[start + token * third + i] ?? 0) / tokens
  return mean
}

async function answer(body: OnnxRequest): Promise<OnnxAnswer> {
  try {
    return body.kind === "open" ? await open(body) : await embed(body.texts)
  } catch (thrown) {
    const { kind, hint } = thrown instanceof Fault ? thrown : { kind: "io" as const, hint: undefined }
    return { kind: "problem", message: describe(thrown), fault: kind, hint }
  }
}

killWithParent()
setPriority(0, constants.priority.PRIORITY_LOW)
process.on("message", ({ id, body }: Numbered<OnnxRequest>) => {
  void answer(body).then((made) => process.send?.({ id, body: made }, undefined, undefined, () => undefined))
})
