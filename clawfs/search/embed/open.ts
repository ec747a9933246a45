/** The embedder that a configuration names. */
import type { EmbedderConfig } from "../../../schema/search.ts"
import { unreachable } from "../../core/assert.ts"
import { BuiltinEmbedder } from "./builtin.ts"
import type { Embedder } from "./embedder.ts"
import { HttpEmbedder } from "./http.ts"
import { keyFromFile, type KeySource } from "./key.ts"
import { emptyModel, type Model } from "./model.ts"
import { OnnxEmbedder } from "./onnx.ts"

export interface EmbedderParts {
  /** What the built-in embedder has learned so far, of the configured dimensions. */
  readonly model?: Model | undefined
  /** Where an endpoint's key comes from, instead of the configured file. */
  readonly key?: KeySource
}

/** Undefined for provider "none". Throws `Fault` for a configuration that can't work; nothing is contacted or loaded yet. */
export async function openEmbedder(
  config: EmbedderConfig,
  parts: EmbedderParts = {},
): Promise<Embedder | undefined> {
  switch (config.provider) {
    case "none":
      return undefined
    case "builtin":
      return new BuiltinEmbedder(
        parts.model?.dimensions === config.dimensions ? parts.model : emptyModel(config.dimensions),
      )
    case "http": {
      const { keyFile } = config
      return new HttpEmbedder(config, parts.key ?? (keyFile === undefined ? undefined : keyFromFile(keyFile)))
    }
    case "onnx":
      return OnnxEmbedder.open(config)
    default:
      return unreachable(config)
  }
}
