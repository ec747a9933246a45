/** `system/sandbox.json`: what is required of sandboxes, and what tools may have. */
import { SandboxPolicy } from "../../schema/sandbox.ts"
import { Fault, describe } from "../core/fault.ts"
import { readText } from "./files.ts"
import type { ToolPlaces } from "./places.ts"

/** The defaults where there is no such file. Throws `Fault("invalid")` for one that can't be understood: nothing runs then. */
export function readPolicy(places: ToolPlaces): SandboxPolicy {
  const text = readText(places.policy)
  if (text === undefined) return SandboxPolicy.parse({})
  try {
    const policy = SandboxPolicy.safeParse(JSON.parse(text))
    if (policy.success) return policy.data
    const [issue] = policy.error.issues
    const where = issue?.path.map(String).join(".") ?? ""
    throw new Fault("invalid", `${where === "" ? "" : `${where}: `}${issue?.message ?? "invalid"}`)
  } catch (cause) {
    throw new Fault("invalid", `${places.policy}: ${describe(cause)}`, { cause })
  }
}
