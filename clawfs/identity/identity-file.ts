/**
 * `identity.json` in an agent's directory, and its backups in `backups/`: `identity-TIME.json`, made with a change when the newest
 * is six hours old, at most thirty of them, and `identity-previous.json`, what the last change has replaced.
 */
import type { Identity } from "../../schema/identity.ts"
import { Fault } from "../core/fault.ts"
import { AgentDirectory } from "./agent-directory.ts"
import { MOST_IDENTITY_BYTES, completed, identityIn, textOf, type IdentityDraft } from "./identity.ts"

const FILE = "identity.json"
const BACKUPS = "backups"
const PREVIOUS = "identity-previous.json"
/** P3.4: every six hours, thirty of them. */
const BACKUP_MS = 6 * 3600 * 1000
const MOST_BACKUPS = 30
const BACKUP_NAME = /^identity-(\d{8}T\d{6}Z)\.json$/

/** A file of an agent, and what is wrong with it. */
export interface Checked {
  /** From the agent's directory. */
  readonly name: string
  readonly identity: Identity | undefined
  /** The end of a sentence that begins with the name. */
  readonly problem: string | undefined
}

/**
 * Makes `identity.json` in `directory`, `agents/AGENT`, which exists and is named as `draft.agent_id`; what is
 * written, a backup too, depends on `draft` alone. Returns false where the same identity is there already. Throws `Fault("exists")` where another one is,
 * "invalid" for one that does not fit the schema.
 */
export function createIdentity(directory: string, draft: IdentityDraft): boolean {
  using agent = AgentDirectory.open(directory)
  agent.lock()
  const identity = completed(draft)
  requireOwnName(agent, identity)
  const found = agent.has(FILE) ? look(agent, FILE) : undefined
  if (found?.identity?.checksum === identity.checksum) return false
  if (found !== undefined)
    throw new Fault("exists", `${agent.shown}/${FILE} is there already`, { hint: "clawfs identity verify" })
  backUp(agent, identity, Date.parse(identity.updated_at))
  agent.write(FILE, Buffer.from(textOf(identity)))
  return true
}

/**
 * What `createIdentity` writes into an agent's empty directory, for who writes files in a way of his own. Throws
 * `Fault("invalid")` for a draft that does not fit the schema.
 */
export function newIdentityFiles(
  draft: IdentityDraft,
): readonly { readonly path: readonly string[]; readonly bytes: Buffer }[] {
  const identity = completed(draft)
  const bytes = Buffer.from(textOf(identity))
  const backup = backupName(Date.parse(identity.updated_at))
  return [
    { path: [FILE], bytes },
    { path: [BACKUPS, backup], bytes },
  ]
}

/** Throws `Fault("not-found")` where there is none, "corrupt" for one that is damaged, was changed by hand, or is another agent's. */
export function readIdentity(directory: string): Identity {
  using agent = AgentDirectory.open(directory)
  return whole(agent)
}

/**
 * Replaces the identity by what `change` makes of it; `updated_at` and the checksum are set. One process at a time. The former one
 * stays as `backups/identity-previous.json`. Throws as `readIdentity` does, and then nothing is changed.
 */
export function updateIdentity(
  directory: string,
  change: (identity: Identity) => IdentityDraft,
  now = Date.now(),
): Identity {
  using agent = AgentDirectory.open(directory)
  agent.lock()
  const old = whole(agent)
  const identity = completed({ ...change(old), updated_at: new Date(now).toISOString() })
  requireOwnName(agent, identity)
  using backups = backupsOf(agent)
  backups.write(PREVIOUS, Buffer.from(textOf(old)))
  backUp(agent, identity, now)
  agent.write(FILE, Buffer.from(textOf(identity)))
  return identity
}

/** The identity and each of its backups, newest first. */
export function checkIdentity(directory: string): {
  readonly file: Checked
  readonly backups: readonly Checked[]
} {
  using agent = AgentDirectory.open(directory)
  return { file: look(agent, FILE), backups: allBackups(agent) }
}

/**
 * Puts a backup in the identity's place: the one named, or the newest that is whole. What was there is kept in
 * `backups/identity-replaced-TIME.json`. Throws `Fault("not-found")` when there is no whole backup, "corrupt" when the one named
 * is none, and then nothing is changed.
 */
export function restoreIdentity(directory: string, from?: string, now = Date.now()): Checked {
  using agent = AgentDirectory.open(directory)
  agent.lock()
  const all = allBackups(agent)
  const chosen =
    from === undefined ? all.find(({ identity }) => identity !== undefined) : named(agent, all, from)
  if (chosen?.identity === undefined)
    throw new Fault("not-found", `${agent.shown} has no backup of its identity that is whole`)
  using backups = backupsOf(agent)
  agent.replace(
    FILE,
    Buffer.from(textOf(chosen.identity)),
    backups,
    `identity-replaced-${timeName(now)}.json`,
  )
  return chosen
}

function named(agent: AgentDirectory, all: readonly Checked[], from: string): Checked {
  const found = all.find(({ name }) => name === from || name === `${BACKUPS}/${from}`)
  if (found === undefined)
    throw new Fault("not-found", `${agent.shown} has no backup ${from}`, {
      hint: "clawfs identity verify lists them",
    })
  if (found.problem !== undefined) throw new Fault("corrupt", `${agent.shown}/${found.name} ${found.problem}`)
  return found
}

function whole(agent: AgentDirectory): Identity {
  if (!agent.has(FILE)) throw new Fault("not-found", `${agent.shown} has no ${FILE}`, { hint: RESTORE })
  const { identity, problem = "" } = look(agent, FILE)
  if (identity === undefined)
    throw new Fault("corrupt", `${agent.shown}/${FILE} ${problem}`, { hint: RESTORE })
  return identity
}

const RESTORE = "clawfs identity restore puts the newest backup there that is whole"

function look(agent: AgentDirectory, name: string, within = agent): Checked {
  const shown = within === agent ? name : `${BACKUPS}/${name}`
  const bytes = within.read(name, MOST_IDENTITY_BYTES)
  const found = typeof bytes === "string" ? bytes : identityIn(bytes)
  if (typeof found === "string") return { name: shown, identity: undefined, problem: found }
  if (found.agent_id === agentOf(agent)) return { name: shown, identity: found, problem: undefined }
  return { name: shown, identity: undefined, problem: `is the identity of ${JSON.stringify(found.agent_id)}` }
}

function agentOf({ shown }: AgentDirectory): string {
  return shown.split("/").findLast((part) => part !== "") ?? ""
}

function requireOwnName(agent: AgentDirectory, { agent_id }: Identity): void {
  if (agent_id !== agentOf(agent))
    throw new Fault(
      "invalid",
      `the identity of ${JSON.stringify(agent_id)} does not belong in ${agent.shown}`,
    )
}

function allBackups(agent: AgentDirectory): Checked[] {
  using backups = agent.within(BACKUPS)
  if (backups === undefined) return []
  const names = backups.names().filter((name) => name === PREVIOUS || BACKUP_NAME.test(name))
  const found = names.map((name) => look(agent, name, backups))
  const age = ({ identity }: Checked): string => (identity === undefined ? "" : toUtc(identity.updated_at))
  return found.sort((a, b) => (age(a) === age(b) ? order(b.name, a.name) : order(age(b), age(a))))
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function toUtc(time: string): string {
  return new Date(time).toISOString()
}

function backupsOf(agent: AgentDirectory): AgentDirectory {
  const backups = agent.within(BACKUPS, true)
  if (backups === undefined) throw new Fault("io", `${agent.shown}/${BACKUPS} was removed`)
  return backups
}

/** Keeps a copy if the newest is old, and removes those that are too many. */
function backUp(agent: AgentDirectory, identity: Identity, now: number): void {
  using backups = backupsOf(agent)
  const names = backups.names().filter((name) => BACKUP_NAME.test(name))
  if (timeOf(names.at(-1)) + BACKUP_MS > now) return
  backups.write(backupName(now), Buffer.from(textOf(identity)))
  for (const name of names.slice(0, Math.max(0, names.length + 1 - MOST_BACKUPS))) backups.remove(name)
}

function backupName(now: number): string {
  return `identity-${timeName(now)}.json`
}

/** `20261121T205500Z` */
function timeName(now: number): string {
  return `${new Date(now).toISOString().replace(/[-:]/g, "").slice(0, 15)}Z`
}

function timeOf(name: string | undefined): number {
  const [, text = ""] = BACKUP_NAME.exec(name ?? "") ?? []
  if (text === "") return -Infinity
  return Date.parse(text.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6Z"))
}
