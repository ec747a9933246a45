/** How search is configured: the shape of the store's `index/config.json`. */
import { z } from "./zod.ts"

const dimensions = z.int().min(128).max(4096)
const prefix = z.string().max(1000).default("")
const directory = z.string().min(1).max(4096)

const none = z.strictObject({ provider: z.literal("none") })

const builtin = z.strictObject({ provider: z.literal("builtin"), dimensions: dimensions.default(1536) })

const httpFields = z.strictObject({
  provider: z.literal("http"),
  /** openai: POST {url}/v1/embeddings; ollama: POST {url}/api/embed. */
  api: z.enum(["openai", "ollama"]),
  /** Up to what the API's own path begins with: "https://api.openai.com", "http://localhost:11434". */
  url: z.url({ protocol: /^https?$/ }),
  model: z.string().min(1).max(200),
  dimensions,
  /** Ask the endpoint for so many dimensions; without it they are what the model has. */
  requestDimensions: z.boolean().default(false),
  /** A file with nothing but the key, mode 0600. */
  keyFile: directory.optional(),
  /** Or the name of a secret of the mount's vault, which the indexer may reveal. */
  keySecret: z.string().min(1).max(255).optional(),
  queryPrefix: prefix,
  documentPrefix: prefix,
  /** Texts a request. */
  batch: z.int().min(1).max(2048).default(64),
  timeoutSeconds: z.number().positive().max(600).default(60),
  queryTimeoutSeconds: z.number().positive().max(60).default(3),
  requestsPerMinute: z.number().positive().max(1_000_000).optional(),
})

const http = httpFields.refine(({ keyFile, keySecret }) => keyFile === undefined || keySecret === undefined, {
  message: "a key comes from a file or from the vault, not from both",
  path: ["keySecret"],
})

const onnx = z.strictObject({
  provider: z.literal("onnx"),
  /** A sentence-transformers model: tokenizer.json, model.onnx (or onnx/model.onnx), config.json. */
  directory,
  dimensions,
  queryPrefix: prefix,
  documentPrefix: prefix,
  /** Longer texts are cut. */
  maxTokens: z.int().min(8).max(8192).default(512),
  pooling: z.enum(["mean", "cls"]).default("mean"),
  threads: z.int().min(1).max(64).default(1),
})

export const embedderConfig = z.discriminatedUnion("provider", [none, builtin, http, onnx])

export const searchConfig = z.strictObject({
  embedder: embedderConfig.default({ provider: "builtin", dimensions: 1536 }),
})

export type EmbedderConfig = z.output<typeof embedderConfig>
export type HttpEmbedderConfig = z.output<typeof http>
export type OnnxEmbedderConfig = z.output<typeof onnx>
export type SearchConfig = z.output<typeof searchConfig>

/** Of an answer of POST /v1/embeddings; what else is in it does not matter. */
export const openaiAnswer = z.object({
  data: z.array(z.object({ index: z.int().nonnegative(), embedding: z.array(z.number()) })),
})
/** Of an answer of POST /api/embed. */
export const ollamaAnswer = z.object({ embeddings: z.array(z.array(z.number())) })

/** What we use of a tokenizer.json (Hugging Face tokenizers). */
export const tokenizerFile = z.object({
  normalizer: z
    .object({
      type: z.string(),
      lowercase: z.boolean().optional(),
      strip_accents: z.boolean().nullish(),
    })
    .nullish(),
  pre_tokenizer: z.object({ type: z.string() }).nullish(),
  model: z.object({
    type: z.string().optional(),
    vocab: z.preprocess(
      // Of other kinds it is a list; those are refused by their type, with a sentence of their own.
      (value) => (Array.isArray(value) ? {} : value),
      z.record(z.string(), z.int().nonnegative()),
    ),
    unk_token: z.string().default("[UNK]"),
    continuing_subword_prefix: z.string().default("##"),
    max_input_chars_per_word: z.int().positive().default(100),
  }),
})
