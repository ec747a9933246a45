/** The work of `clawfs init`. */
import { accessSync, constants, realpathSync, rmdirSync, statSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { Fault } from "../../core/fault.ts"
import { createTree, type Owners } from "../../fs/tree.ts"
import { filesystemOf, isClawfs } from "../../sys/clawfs-mounts.ts"
import { AGENTS_GROUP, TOOLS_OWNER, USERS_GROUP, idOf, type AccountKind } from "../accounts.ts"
import { UsageError } from "../command.ts"
import type { InitInvocation } from "../commands/init.ts"
import { ExitCode } from "../exit-code.ts"
import { faultOf } from "../node-fault.ts"
import { isStore } from "../store-files.ts"
import type { Terminal } from "../terminal.ts"

type Values = InitInvocation["values"]

export function runInit({ values, operands, terminal }: InitInvocation): ExitCode {
  const owners = ownersOf(values, terminal)
  const { store, firstNew } = placeOf(resolve(operands[0] ?? ""))
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

/** Where the store will lie, and the first directory that has to be made on the way. Throws if it can't lie there. */
function placeOf(given: string): { store: string; firstNew: string | undefined } {
  const existing = nearestExisting(given)
  const missing = relative(existing, given)
  const above = realpathSync(existing)
  const store = missing === "" ? above : join(above, missing)
  const [first] = missing.split("/")
  refuseBadPlace(store, above)
  if (!statSync(above).isDirectory()) {
    const what = missing === "" ? "" : `, so ${given} can't be made`
    throw new Fault("exists", `${above} is a file${what}`, { hint: "name a new or an empty directory" })
  }
  // An existing store or a full directory gets its own message, whoever may write there.
  if (missing !== "" || !isStore(above)) requireWritable(above, store)
  return { store, firstNew: missing === "" || first === undefined ? undefined : join(above, first) }
}

function nearestExisting(path: string): string {
  let at = path
  while (!exists(at)) at = dirname(at)
  return at
}

function exists(path: string): boolean {
  try {
    statSync(path)
    return true
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT" || code === "ENOTDIR") return false
    if (code === "EACCES") throw new Fault("denied", `no permission to reach ${path}`, { cause })
    throw cause
  }
}

function refuseBadPlace(store: string, above: string): void {
  const on = filesystemOf(above)
  if (isClawfs(on)) {
    throw new Fault(
      "invalid",
      `a store can't lie on a ClawFS mount, and ${store} would (on ${on.mountpoint})`,
      {
        hint: "name a directory outside of the mount",
      },
    )
  }
  for (let at = dirname(store); at !== "/"; at = dirname(at)) {
    if (isStore(at)) {
      throw new Fault("invalid", `${store} would lie inside of the store ${at}`, {
        hint: "name a directory outside of it",
      })
    }
  }
}

function requireWritable(directory: string, store: string): void {
  try {
    accessSync(directory, constants.W_OK | constants.X_OK)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "EROFS") {
      throw new Fault("read-only", `${store} would lie on a read-only filesystem`, {
        cause,
        hint: "name a directory on another one",
      })
    }
    throw new Fault("denied", `no permission to write in ${directory}`, {
      cause,
      hint: "name a directory of your own, or run this as root",
    })
  }
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
