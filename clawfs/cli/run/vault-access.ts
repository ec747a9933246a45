/** `clawfs vault audit`, `protector`, `grant`, `grants`, `revoke`. */
import { ProtectorKind } from "../../../keyring/protector.ts"
import { randomSecret } from "../../../keyring/secret.ts"
import { DEFAULT_TCTI } from "../../../keyring/tpm.ts"
import type { PersonSecret } from "../../../keyring/secret-protector.ts"
import { wordsOf } from "../../../keyring/words.ts"
import { hashOf } from "../../../vault/service/caller.ts"
import { SIGN_KINDS } from "../../../vault/sign/kinds.ts"
import { Fault } from "../../core/fault.ts"
import { UsageError } from "../command.ts"
import { ExitCode } from "../exit-code.ts"
import { Attachments, callVault } from "../vault/client.ts"
import { givenPerson, newPerson, pinOf, presentPerson } from "../vault/people.ts"
import { duration, moment, shownTime, wholeNumber } from "../vault/times.ts"
import { pcrsOf, protectorLine } from "./vault-life.ts"
import { readEndpoint } from "./vault-proxy.ts"
import type { VaultAction } from "../vault/action.ts"

const DAY = "24h"

interface Row {
  readonly seq: number
  readonly time: number
  readonly event: string
  readonly outcome: string
  readonly subject: { readonly uid: number; readonly pid: number; readonly program?: string }
  readonly secret?: string
  readonly version: number
  readonly detail: object
}

export function audit(action: VaultAction): ExitCode {
  const { directory, values, operands, terminal } = action
  if (operands[0] === "verify") return verify(action)
  if (operands[0] === "export") return exportAudit(action)
  if (operands[0] === "prune") return prune(action)
  if (operands[0] !== undefined)
    throw new UsageError(`vault audit: there is no "${operands[0]}", only verify, export and prune`)
  const { since, secret, subject } = values
  const rows = callVault(directory, "audit", {
    ...(since === undefined ? {} : { since: moment("--since", since, -1) }),
    ...(secret === undefined ? {} : { name: secret }),
    ...(subject === undefined ? {} : { uid: wholeNumber("--subject", subject, 2 ** 32 - 2) }),
  }) as Row[]
  if (values.json === true) terminal.out(JSON.stringify(rows, undefined, 2))
  else if (rows.length === 0) terminal.note("there are no such rows")
  else terminal.out(rows.map(lineOf).join("\n"))
  return ExitCode.OK
}

function lineOf({ seq, time, event, outcome, subject, secret, version, detail }: Row): string {
  const what = secret === undefined ? "" : `${secret}${version === 0 ? "" : ` v${version}`}`
  const who = `uid ${subject.uid}, process ${subject.pid}${subject.program === undefined ? "" : ` (${subject.program})`}`
  const more = Object.keys(detail).length === 0 ? "" : JSON.stringify(detail)
  return [String(seq).padStart(6), shownTime(time), event, outcome, what, who, more]
    .filter((each) => each !== "")
    .join("  ")
}

interface Verified {
  readonly rows: number
  readonly seq: number
  readonly mac: string
  readonly cut: number
  readonly signatures: { readonly count: number; readonly keys: readonly string[] }
}

function verify({ directory, values, terminal }: VaultAction): ExitCode {
  const [, seq, mac] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(values.known ?? "") ?? []
  if (values.known !== undefined && seq === undefined)
    throw new UsageError("vault audit verify: --known takes what an earlier verify printed, SEQ:MAC")
  const params = seq === undefined ? {} : { seq: Number(seq), mac }
  const found = callVault(directory, "audit.verify", params) as Verified
  if (values.json === true) terminal.out(JSON.stringify(found, undefined, 2))
  else {
    if (found.cut > 0) terminal.note(`rows up to ${found.cut} were pruned`)
    const { count, keys } = found.signatures
    if (count > 0) terminal.note(`${count} signatures of its end, by ${keys.join(", ")}`)
    terminal.note(`${found.rows} rows, each as it was written; the end, to be noted elsewhere:`)
    terminal.out(`${found.seq}:${found.mac}`)
  }
  return ExitCode.OK
}

/** All rows, one JSON object a line, as they are stored. */
function exportAudit({ directory, terminal }: VaultAction): ExitCode {
  for (let after = 0; ;) {
    const rows = callVault(directory, "audit.export", { after }) as { readonly seq: number }[]
    const last = rows.at(-1)
    if (last === undefined) return ExitCode.OK
    terminal.out(rows.map((row) => JSON.stringify(row)).join("\n"))
    after = last.seq
  }
}

function prune({ directory, values, terminal }: VaultAction): ExitCode {
  if (values.keep === undefined)
    throw new UsageError("vault audit prune: --keep says for how long, such as 90d")
  const before = moment("--keep", values.keep, -1)
  if (before === 0) throw new UsageError("vault audit prune: --keep takes a time above 0")
  using present = presentPerson(values)
  using attached = new Attachments()
  const params = { proof: attached.person(present), before }
  const { removed } = callVault(directory, "audit.prune", params, attached.fds) as { removed: number }
  terminal.note(`${removed} rows are removed; the rest is still one chain`)
  return ExitCode.OK
}

export function protector(action: VaultAction): ExitCode {
  const { directory, values, operands, terminal } = action
  const [what = "", which] = operands
  if (what === "list") {
    const found = callVault(directory, "protector.list") as Readonly<Record<string, unknown>>[]
    terminal.out(
      values.json === true ? JSON.stringify(found, undefined, 2) : found.map(protectorLine).join("\n"),
    )
    return ExitCode.OK
  }
  if (what === "add") return addProtector(action, which)
  if (what !== "remove")
    throw new UsageError(`vault protector: there is no "${what}", only list, add, remove`)
  if (which === undefined) throw new UsageError("vault protector remove: NUMBER is missing")
  const number = wholeNumber("protector remove", which, 1e9)
  using present = presentPerson(values)
  using attached = new Attachments()
  callVault(directory, "protector.remove", { proof: attached.person(present), number }, attached.fds)
  terminal.note(
    "older copies of vault.db can still be opened by it; clawfs vault rotate --root makes those useless",
  )
  return ExitCode.OK
}

function addProtector({ directory, values, terminal }: VaultAction, which: string | undefined): ExitCode {
  if (which !== undefined && which !== "recovery" && which !== "tpm")
    throw new UsageError(`vault protector add: there is no "${which}", only recovery and tpm`)
  using present = presentPerson(values)
  using attached = new Attachments()
  const proof = attached.person(present)
  const told = (answer: unknown): ExitCode => {
    terminal.note(`protector ${(answer as { number: number }).number} is added`)
    return ExitCode.OK
  }
  if (which === "tpm" || values.tpm !== undefined) {
    using pin = pinOf(values)
    const params = { proof, tcti: values.tpm ?? DEFAULT_TCTI, pcrs: pcrsOf(values.pcrs) }
    const more = pin === undefined ? {} : { pin: attached.give(pin.secret) }
    return told(callVault(directory, "protector.add-tpm", { ...params, ...more }, attached.fds))
  }
  if (which === "recovery") {
    const words = randomSecret()
    try {
      const person = attached.person({ kind: ProtectorKind.RECOVERY, secret: words })
      const answer = callVault(directory, "protector.add", { proof, person }, attached.fds)
      terminal.note("write these recovery words down; they are not shown again:")
      terminal.out(wordsOf(words).join(" "))
      return told(answer)
    } finally {
      words.fill(0)
    }
  }
  using fresh = newPerson(values, "new-", values.kdf)
  const params = {
    proof,
    person: attached.person(fresh),
    ...(fresh.kdf === undefined ? {} : { kdf: fresh.kdf }),
  }
  return told(callVault(directory, "protector.add", params, attached.fds))
}

function programHash(option: string, path: string): string {
  try {
    return hashOf(path)
  } catch (cause) {
    throw new Fault("not-found", `${option}: ${path} can't be read`, { cause })
  }
}

export function grant({ directory, values, operands, terminal }: VaultAction): ExitCode {
  const { verb, uid, caller, cgroup, program, tool, args, uses, until, endpoint } = values
  if (verb !== "reveal" && verb !== "exec" && verb !== "sign" && verb !== "inject")
    throw new UsageError("vault grant: --verb takes exec, inject, sign or reveal")
  if ((verb === "inject") !== (endpoint !== undefined))
    throw new UsageError("vault grant: --verb inject needs --endpoint, and nothing else takes it")
  if (verb !== "exec" && (program ?? args ?? tool) !== undefined)
    throw new UsageError("vault grant: --program, --tool and --args are for --verb exec")
  if (tool !== undefined && (caller ?? cgroup) !== undefined)
    throw new UsageError("vault grant: --caller and --cgroup say nothing of a tool's callers")
  const sign = signLimits(values)
  if (verb !== "sign" && sign !== undefined)
    throw new UsageError("vault grant: --as, --scope, --audience and --lifetime are for --verb sign")
  const limits = {
    ...(uid === undefined ? {} : { uid: wholeNumber("--uid", uid, 2 ** 32 - 2) }),
    ...(caller === undefined ? {} : { caller: programHash("--caller", caller) }),
    ...(cgroup === undefined ? {} : { cgroup: groupPath(cgroup) }),
    ...(program === undefined ? {} : { program: programHash("--program", program) }),
    ...(tool === undefined ? {} : { tool }),
    ...(args === undefined ? {} : { args: args.split(" ").filter((word) => word !== "") }),
    ...(sign === undefined ? {} : { sign }),
    ...(endpoint === undefined ? {} : { endpoint: readEndpoint(endpoint) }),
    ...(uses === undefined ? {} : { uses: wholeNumber("--uses", uses, 1e9, 1) }),
    until: moment("--until", until ?? DAY, 1),
  }
  using present = presentPerson(values)
  using attached = new Attachments()
  const params = { proof: attached.person(present), name: operands[0] ?? "", verb, ...limits }
  const { id } = callVault(directory, "grant", params, attached.fds) as { id: number }
  if (values.json === true) terminal.out(JSON.stringify({ id }))
  else terminal.note(`grant ${id} is given`)
  return ExitCode.OK
}

interface SignLimits {
  readonly kinds?: readonly string[]
  readonly scopes?: readonly string[]
  readonly audience?: readonly string[]
  readonly lifetime?: number
}

function signKind(text: string): string {
  if (SIGN_KINDS.some((kind) => kind === text)) return text
  throw new UsageError(`vault grant: --as takes ${SIGN_KINDS.join(", ")}, got "${text}"`)
}

/** What the options say of it; undefined when they say nothing. */
function signLimits({ as, scope, audience, lifetime }: VaultAction["values"]): SignLimits | undefined {
  if ((as ?? scope ?? audience ?? lifetime) === undefined) return undefined
  return {
    ...(as === undefined ? {} : { kinds: as.split(",").map(signKind) }),
    ...(scope === undefined ? {} : { scopes: scope.split(",") }),
    ...(audience === undefined ? {} : { audience: audience.split(",") }),
    ...(lifetime === undefined ? {} : { lifetime: duration("--lifetime", lifetime) }),
  }
}

function shownLimits({ kinds, scopes, audience, lifetime }: SignLimits): string[] {
  return [
    ...(kinds === undefined ? [] : [kinds.join(" or ")]),
    ...(scopes === undefined ? [] : [`for ${scopes.join(" or ")}`]),
    ...(audience === undefined ? [] : [`to ${audience.join(" or ")}`]),
    ...(lifetime === undefined ? [] : [`at most ${lifetime} s`]),
  ]
}

interface ShownGrant {
  readonly id: number
  readonly name: string
  readonly verb: string
  readonly uid?: number
  readonly caller?: string
  readonly cgroup?: string
  readonly program?: string
  readonly tool?: string
  readonly args?: readonly string[]
  readonly sign?: SignLimits
  readonly endpoint?: { readonly provider_id: string; readonly base_url: string }
  readonly uses?: number
  readonly until: number
}

export function grants({ directory, values, terminal }: VaultAction): ExitCode {
  const found = callVault(directory, "grants") as ShownGrant[]
  if (values.json === true) terminal.out(JSON.stringify(found, undefined, 2))
  else if (found.length === 0) terminal.note("there are no grants")
  else terminal.out(found.map(grantLine).join("\n"))
  return ExitCode.OK
}

function grantLine({
  id,
  name,
  verb,
  uid,
  caller,
  cgroup,
  program,
  tool,
  args,
  sign,
  endpoint,
  uses,
  until,
}: ShownGrant): string {
  const limits = [
    uid === undefined ? "any user" : `uid ${uid}`,
    ...(caller === undefined ? [] : [`caller ${caller.slice(0, 12)}`]),
    ...(cgroup === undefined ? [] : [`cgroup ${cgroup}`]),
    ...(program === undefined ? [] : [`program ${program.slice(0, 12)}`]),
    ...(tool === undefined ? [] : [`tool ${tool}`]),
    ...(args === undefined ? [] : [`arguments ${args.join(" ")} ...`]),
    ...(sign === undefined ? [] : shownLimits(sign)),
    ...(endpoint === undefined ? [] : [`as ${endpoint.provider_id} to ${endpoint.base_url}`]),
    ...(uses === undefined ? [] : [`${uses} uses left`]),
    until === 0 ? "for ever" : `until ${shownTime(until)}`,
  ]
  if (verb === "freeze")
    return `${String(id).padStart(4)}  ${name}  frozen: uid ${uid ?? ""} asked for this canary`
  return `${String(id).padStart(4)}  ${name}  ${verb}  ${limits.join(", ")}`
}

export function revoke({ directory, values, operands }: VaultAction): ExitCode {
  const id = wholeNumber("revoke", operands[0] ?? "", 1e9)
  using given = givenPerson(values)
  try {
    revokeWith(directory, id, given)
  } catch (thrown) {
    if (!(thrown instanceof Fault && thrown.kind === "denied" && given === undefined)) throw thrown
    // A canary was asked for, and this gives the grants back.
    using present = presentPerson(values)
    revokeWith(directory, id, present)
  }
  return ExitCode.OK
}

function revokeWith(directory: string, id: number, person: PersonSecret | undefined): void {
  using attached = new Attachments()
  const proof = person === undefined ? {} : { proof: attached.person(person) }
  callVault(directory, "revoke", { id, ...proof }, attached.fds)
}

/** As in /proc/PID/cgroup; what lies under /sys/fs/cgroup is taken for it too. */
function groupPath(text: string): string {
  const path = text.replace(/^\/sys\/fs\/cgroup(\/unified)?(?=\/|$)/, "").replace(/\/+$/, "")
  if (path === "") return "/"
  if (path.startsWith("/")) return path
  throw new UsageError(
    `vault grant: --cgroup takes an absolute path, got "${text}"`,
    "such as /system.slice/agent.service",
  )
}
