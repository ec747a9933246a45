/** Handlers of the control socket for what works on the tree: check the parameters, then ask the serving thread. */
import { TREE_PARAMS } from "../../schema/tree-methods.ts"
import type { Handler } from "../api/server.ts"
import { checkedParameters } from "./parameters.ts"

/** `run` gives the serving thread's answer. */
export function treeHandlers(
  run: (method: string, params: Readonly<Record<string, unknown>>) => Promise<unknown>,
): [string, Handler][] {
  return Object.entries(TREE_PARAMS).map(([method, schema]) => [
    method,
    (params) => run(method, checkedParameters<Readonly<Record<string, unknown>>>(schema, params)),
  ])
}
