/** `system/sandbox.json`: what is required of sandboxes, and what tools may have. */
import { readFileSync } from "node:fs"
import { SandboxPolicy } from "../../schema/sandbox.ts"
import { Fault, describe } from "../core/fault.ts"
import type { ToolPlaces } from "./places.ts"

/** The defaults where there is no such file. Throws `Fault("invalid")` for one that can't be understood: nothing runs then. */
export function readPolicy(places: ToolPlaces): SandboxPolicy {
  let text: string
  try {
    text = readFileSync(places.policy, "utf8")
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return SandboxPolicy.parse({})
    throw cause
  }
  try {
    const policy = SandboxPolicy.safeParse(JSON.parse(text))
    if (policy.success) return policy.data
    const [issue] = policy.error.issues
    throw new Fault("invalid", `${issue?.path.map(String).join(".") ?? ""}: ${issue?.message ?? "invalid"}`)
  } catch (cause) {
    throw new Fault("invalid", `${places.policy}: ${describe(cause)}`, { cause })
  }
}
