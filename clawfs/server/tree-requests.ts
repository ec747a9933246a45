/** Handlers of the control socket for what works on the tree: check the parameters, then ask the serving thread. */
import { TREE_PARAMS } from "../../schema/tree-methods.ts"
import type { Handler } from "../api/server.ts"
import { Fault } from "../core/fault.ts"

/** `run` gives the serving thread's answer. */
export function treeHandlers(
  run: (method: string, params: Readonly<Record<string, unknown>>) => Promise<unknown>,
): [string, Handler][] {
  return Object.entries(TREE_PARAMS).map(([method, schema]) => [
    method,
    (params) => {
      const parsed = schema.safeParse(params)
      if (parsed.success) return run(method, parsed.data)
      const [issue] = parsed.error.issues
      throw new Fault("invalid", `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}`)
    },
  ])
}
