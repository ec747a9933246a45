/** The directory that the memory tools work in: of the workspace, or one that the command line names. Made when first needed. */
import { mkdirSync } from "node:fs"
import { Fault } from "../core/fault.ts"
import { codeOf, explained } from "./failure.ts"
import type { Tree } from "./tree.ts"
import { Workspace } from "./workspace.ts"

/** What the tools call it. */
export const MEMORIES = "/memories"
const DEFAULT_NAME = "memories"

export interface Memory {
  /** It is made if it is missing, unless nothing may be changed: then a `Fault` says that it is missing. */
  open(): Tree
  /** Where it is for a search: a workspace, and the path from there. */
  place(): { readonly workspace: Workspace; readonly directory: string }
  readonly isReadOnly: boolean
}

/** `memories` in the workspace. */
export function memoryIn(workspace: Workspace, isReadOnly: boolean): Memory {
  const open = (): Tree => {
    using root = workspace.open()
    return root.subtree({ bytes: Buffer.from(DEFAULT_NAME), shown: MEMORIES }, [MEMORIES], {
      make: !isReadOnly,
    })
  }
  return { isReadOnly, open, place: () => placeOf(workspace, open) }
}

/** Any directory, by its absolute path. */
export function memoryAt(path: string, isReadOnly: boolean): Memory {
  let workspace: Workspace | undefined
  const ready = (): Workspace => {
    if (!isReadOnly && workspace === undefined) explained(path, () => mkdirSync(path, { recursive: true }))
    workspace ??= existing(path)
    return workspace
  }
  const open = (): Tree => {
    using root = ready().open()
    return root.subtree({ bytes: Buffer.from("."), shown: MEMORIES }, [MEMORIES], { make: false })
  }
  return { isReadOnly, open, place: () => placeOf(ready(), open) }
}

function placeOf(workspace: Workspace, open: () => Tree): ReturnType<Memory["place"]> {
  using tree = open()
  return { workspace, directory: workspace.pathOf(tree) }
}

function existing(path: string): Workspace {
  try {
    return new Workspace(path)
  } catch (thrown) {
    if (thrown instanceof Fault && codeOf(thrown.cause) === "ENOENT")
      throw new Fault("not-found", `${MEMORIES} does not exist`, { cause: thrown })
    throw thrown
  }
}
