/** The work of `clawfs identity`. It works on the mount like other programs. */
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { AGENT_NAME } from "../../../schema/identity.ts"
import { Fault } from "../../core/fault.ts"
import { checkIdentity, readIdentity, restoreIdentity, type Checked } from "../../identity/identity-file.ts"
import { unknownAction } from "../action.ts"
import { UsageError } from "../command.ts"
import { IDENTITY_ACTIONS, type IdentityInvocation } from "../commands/identity.ts"
import { ExitCode } from "../exit-code.ts"
import { mountHere } from "../mount-here.ts"

type Action = (typeof IDENTITY_ACTIONS)[number]

export function runIdentity(invocation: IdentityInvocation): Promise<ExitCode> {
  const [action = "", agent, surplus] = invocation.operands
  if (!(IDENTITY_ACTIONS as readonly string[]).includes(action))
    throw unknownAction("identity", action, IDENTITY_ACTIONS)
  if (surplus !== undefined) throw new UsageError(`identity: "${surplus}" is one operand too many`)
  if (agent === undefined && action !== "verify") throw new UsageError(`identity ${action}: AGENT is missing`)
  if (invocation.values.from !== undefined && action !== "restore")
    throw new UsageError("identity: --from is for restore")
  const agents = join(mountHere(invocation.values.mount, "--mount DIRECTORY says which").mountpoint, "agents")
  switch (action as Action) {
    case "show":
      return Promise.resolve(show(invocation, directoryOf(agents, agent ?? "")))
    case "restore":
      return Promise.resolve(restore(invocation, directoryOf(agents, agent ?? "")))
    case "verify":
      return Promise.resolve(verify(invocation, agents, agent))
  }
}

function directoryOf(agents: string, agent: string): string {
  const path = join(agents, agent)
  if (AGENT_NAME.test(agent) && existsSync(path)) return path
  throw new Fault("not-found", `there is no agent ${JSON.stringify(agent)} in ${agents}`)
}

function show({ values, terminal }: IdentityInvocation, directory: string): ExitCode {
  const identity = readIdentity(directory)
  if (values.json === true) {
    terminal.out(JSON.stringify(identity, undefined, 2))
    return ExitCode.OK
  }
  const { agent_id: id, version, created_at: made, updated_at: changed, state, memory, history } = identity
  const lines = [
    `${id}, version ${version}: ${state.status}`,
    ...(state.current_phase === null ? [] : [`phase      ${JSON.stringify(state.current_phase)}`]),
    ...(state.current_task === null ? [] : [`task       ${JSON.stringify(state.current_task)}`]),
    `made       ${made}`,
    `changed    ${changed}`,
    `knows      ${memory.learned_patterns.length} patterns, ${memory.heuristics.length} heuristics`,
    `has done   ${history.total_executions} executions, ${history.completed_tasks.length} tasks completed, ${history.failed_tasks.length} failed`,
    `checksum   ${identity.checksum}`,
  ]
  terminal.out(lines.join("\n"))
  return ExitCode.OK
}

function restore({ values, terminal }: IdentityInvocation, directory: string): ExitCode {
  const { name, identity } = restoreIdentity(directory, values.from)
  if (values.json === true) terminal.out(JSON.stringify({ restored: name, identity }, undefined, 2))
  else terminal.out(`restored from ${name}, as of ${identity?.updated_at ?? ""}`)
  return ExitCode.OK
}

interface Verified {
  readonly agent: string
  readonly file: Checked
  readonly backups: readonly Checked[]
}

function verify(
  { values, terminal }: IdentityInvocation,
  agents: string,
  agent: string | undefined,
): ExitCode {
  const names = agent === undefined ? agentsIn(agents) : [agent]
  const all = names
    .map((name): Verified => ({ agent: name, ...checkIdentity(directoryOf(agents, name)) }))
    // What never had an identity is not an agent of that kind, such as where conversations lie.
    .filter(({ file, backups }) => agent !== undefined || file.problem !== "is missing" || backups.length > 0)
  const isWhole = all.every(({ file, backups }) =>
    [file, ...backups].every(({ problem }) => problem === undefined),
  )
  if (values.json === true)
    terminal.out(JSON.stringify({ ok: isWhole, agents: all.map(plain) }, undefined, 2))
  else if (all.length === 0) terminal.note(`no agent in ${agents} has an identity`)
  else terminal.out(all.flatMap(linesOf).join("\n"))
  return isWhole ? ExitCode.OK : ExitCode.NO
}

function agentsIn(agents: string): string[] {
  return readdirSync(agents, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && AGENT_NAME.test(entry.name))
    .map(({ name }) => name)
    .sort()
}

function plain({ agent, file, backups }: Verified): object {
  const about = ({ name, identity, problem }: Checked): object => ({
    ...{ name, ok: problem === undefined, problem },
    ...{ updated_at: identity?.updated_at, checksum: identity?.checksum },
  })
  return { agent, identity: about(file), backups: backups.map(about) }
}

function linesOf({ agent, file, backups }: Verified): string[] {
  const wrong = [file, ...backups].filter(({ problem }) => problem !== undefined)
  const whole = backups.length - wrong.filter((each) => each !== file).length
  const state = file.problem === undefined ? "ok       " : "damaged  "
  return [
    `${state} ${agent}: ${file.identity?.updated_at ?? "no whole identity"}, ${whole} of ${backups.length} backups whole`,
    ...wrong.map(({ name, problem }) => `          ${name} ${problem ?? ""}`),
  ]
}
