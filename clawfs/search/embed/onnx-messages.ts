/** What the child process with an ONNX model is asked and answers. */
import type { FaultKind } from "../../core/fault.ts"

export type OnnxRequest =
  | {
      readonly kind: "open"
      readonly model: string
      readonly tokenizer: string
      readonly maxTokens: number
      readonly pooling: "mean" | "cls"
      readonly threads: number
      /** The module, for import(). */
      readonly runtime: string
    }
  | { readonly kind: "embed"; readonly texts: readonly string[] }

export type OnnxAnswer =
  | { readonly kind: "opened" }
  | { readonly kind: "vectors"; readonly vectors: readonly Float32Array[] }
  | {
      readonly kind: "problem"
      readonly message: string
      readonly fault: FaultKind
      readonly hint: string | undefined
    }
