/** What a text must contain so that a pattern can match in it; an over-estimate is allowed, an under-estimate never. */
import { gramsOf } from "./grams.ts"

export type GramPlan =
  | { readonly kind: "anything" }
  | { readonly kind: "literal"; readonly text: string }
  | { readonly kind: "and" | "or"; readonly parts: readonly GramPlan[] }

export const ANYTHING: GramPlan = { kind: "anything" }

/** A string without a gram (too short, or with a line's end among its few bytes) says nothing. */
export function literal(text: string): GramPlan {
  return gramsOf(text).length === 0 ? ANYTHING : { kind: "literal", text }
}

export function both(a: GramPlan, b: GramPlan): GramPlan {
  if (a.kind === "anything") return b
  return b.kind === "anything" ? a : { kind: "and", parts: [a, b] }
}

export function oneOf(parts: readonly GramPlan[]): GramPlan {
  if (parts.some(({ kind }) => kind === "anything")) return ANYTHING
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : { kind: "or", parts }
}
