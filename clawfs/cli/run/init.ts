/** The work of `clawfs init`. */
import { rmdirSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { Fault } from "../../core/fault.ts"
import { createTree, type Owners } from "../../fs/tree.ts"
import { AGENTS_GROUP, TOOLS_OWNER, USERS_GROUP, idOf, type AccountKind } from "../accounts.ts"
import { UsageError } from "../command.ts"
import type { InitInvocation } from "../commands/init.ts"
import { ExitCode } from "../exit-code.ts"
import { placeOf } from "../new-directory.ts"
import { faultOf } from "../node-fault.ts"
import type { Terminal } from "../terminal.ts"

type Values = InitInvocation["values"]

export function runInit({ values, operands, terminal }: InitInvocation): ExitCode {
  const owners = ownersOf(values, terminal)
  const { path: store, firstNew } = placeOf(resolve(operands[0] ?? ""), "store")
  try {
    createTree(store, owners)
  } catch (thrown) {
    if (firstNew !== undefined) removeEmpty(dirname(store), firstNew)
    if (faultOf(thrown)?.kind !== "no-space") throw thrown
    throw new Fault("no-space", `the disk is too full to make ${store}`, {
      cause: thrown,
      hint: "free some space there, or name a directory on another disk",
    })
  }
  terminal.out(`made a store in ${store}`)
  return ExitCode.OK
}

function ownersOf(values: Values, terminal: Terminal): Owners {
  const uid = process.getuid?.() ?? 0
  const isOwn = values.user === true || uid !== 0
  const given = (["agents-group", "users-group", "tools-owner"] as const).find(
    (name) => values[name] !== undefined,
  )
  if (isOwn && given !== undefined) {
    throw new UsageError(
      values.user === true
        ? `init: --user and --${given} exclude each other`
        : `init: --${given} needs root: only root can give directories away`,
    )
  }
  if (isOwn) return { kind: "user", uid, gid: process.getgid?.() ?? 0 }
  const id = (kind: AccountKind, name: string, chosen: string | undefined): number =>
    account(kind, chosen ?? name, chosen !== undefined, terminal)
  return {
    kind: "system",
    agentsGid: id("group", AGENTS_GROUP, values["agents-group"]),
    usersGid: id("group", USERS_GROUP, values["users-group"]),
    toolsUid: id("user", TOOLS_OWNER, values["tools-owner"]),
  }
}

function account(kind: AccountKind, name: string, isGiven: boolean, terminal: Terminal): number {
  const id = idOf(kind, name)
  if (id !== undefined) return id
  if (isGiven) throw new Fault("invalid", `this machine has no ${kind} "${name}"`)
  terminal.note(`no ${kind} "${name}" on this machine, root takes its place`)
  return 0
}

/** Takes away the directories made on the way to a store that could not be made. */
function removeEmpty(from: string, to: string): void {
  for (let at = from; at.length >= to.length; at = dirname(at)) {
    try {
      rmdirSync(at)
    } catch {
      // Not made yet, or no longer empty: somebody else's by now.
    }
  }
}
