/** Secrets that a manifest names: each has a capability and a variable, and nothing has only one of them. */
import type { ToolManifest } from "../../schema/tool.ts"
import { RESERVED_VARIABLES } from "../../schema/vault-api.ts"
import { Fault } from "../core/fault.ts"
import type { Capability } from "./capability.ts"

/** What the vault gives to one program at most. */
export const MOST_SECRETS = 6

/** Throws `Fault("invalid")` for secrets that could not be given as the manifest has it. */
export function requireSecrets(
  { secrets, environment }: Pick<ToolManifest, "secrets" | "environment">,
  capabilities: readonly Capability[],
): void {
  const granted = new Set(capabilities.flatMap((each) => (each.kind === "secret" ? [each.name] : [])))
  const used = Object.entries(secrets)
  if (new Set(used.map(([, { name }]) => name)).size !== used.length)
    throw new Fault("invalid", "one secret is used twice")
  for (const [variable, { name }] of used) {
    if (!granted.has(name))
      throw new Fault("invalid", `the secret "${name}" is used, but secret:exec:${name} is no capability`)
    if (RESERVED_VARIABLES.test(variable) || variable in environment)
      throw new Fault("invalid", `the variable ${variable} can't have a secret`)
    granted.delete(name)
  }
  const [unused] = granted
  if (unused !== undefined)
    throw new Fault("invalid", `"secrets" says no variable for secret:exec:${unused}`, {
      hint: `"secrets": { "VARIABLE": { "name": "${unused}" } }`,
    })
  if (used.length > MOST_SECRETS) throw new Fault("invalid", `more than ${MOST_SECRETS} secrets are used`)
}
