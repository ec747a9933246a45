/** The embedder that a configuration names. */
import type { EmbedderConfig, HttpEmbedderConfig } from "../../../schema/search.ts"
import { unreachable } from "../../core/assert.ts"
import { Fault } from "../../core/fault.ts"
import { BuiltinEmbedder } from "./builtin.ts"
import type { Embedder } from "./embedder.ts"
import { HttpEmbedder } from "./http.ts"
import { keyFromFile, keyFromVault, type KeySource } from "./key.ts"
import { emptyModel, type Model } from "./model.ts"
import { OnnxEmbedder } from "./onnx.ts"

export interface EmbedderParts {
  /** What the built-in embedder has learned so far, of the configured dimensions. */
  readonly model?: Model | undefined
  /** The vault's directory, for an endpoint whose key is one of its secrets. */
  readonly vault?: string | undefined
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
    case "http":
      return new HttpEmbedder(config, keyOf(config, parts.vault))
    case "onnx":
      return OnnxEmbedder.open(config)
    default:
      return unreachable(config)
  }
}

function keyOf({ keyFile, keySecret }: HttpEmbedderConfig, vault: string | undefined): KeySource | undefined {
  if (keyFile !== undefined) return keyFromFile(keyFile)
  if (keySecret === undefined) return undefined
  if (vault === undefined) throw new Fault("invalid", "keySecret: there is no vault here")
  return keyFromVault(vault, keySecret)
}
