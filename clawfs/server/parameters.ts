/** Parameters of the control socket's methods, checked against their schemas. */
import { Fault } from "../core/fault.ts"

/** What a validator of `schema/` offers. */
export interface Schema<T> {
  safeParse(value: unknown):
    | { readonly success: true; readonly data: T }
    | {
        readonly success: false
        readonly error: { readonly issues: readonly { path: PropertyKey[]; message: string }[] }
      }
}

/** `params` as the schema has them. Throws `Fault("invalid")` with the first thing that is wrong, behind `prefix`. */
export function checkedParameters<T>(schema: Schema<T>, params: unknown, prefix = ""): T {
  const result = schema.safeParse(params)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const where = issue?.path.map(String).join(".") ?? ""
  throw new Fault("invalid", `${prefix}${where}: ${issue?.message ?? "invalid"}`)
}
