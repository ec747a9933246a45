/** The work of `clawfs vault`: which action, and what it needs. */
import { UsageError } from "../command.ts"
import { VAULT_ACTIONS, type VaultInvocation } from "../commands/vault.ts"
import type { ExitCode } from "../exit-code.ts"
import { closest } from "../suggest.ts"
import type { VaultAction } from "../vault/action.ts"
import { vaultDirectory } from "../vault/place.ts"
import { audit, grant, grants, protector, revoke } from "./vault-access.ts"
import { exportToFile } from "./vault-bundle.ts"
import { execute } from "./vault-exec.ts"
import { adopt, init, lock, status, unlock } from "./vault-life.ts"
import { doctor } from "./vault-doctor.ts"
import { importSecrets } from "./vault-import.ts"
import { sign, verify } from "./vault-manifest.ts"
import { mount, unmount } from "./vault-mount.ts"
import { proxy } from "./vault-proxy.ts"
import { keygen, publicKey, signWith } from "./vault-sign.ts"
import { sshAgent } from "./vault-ssh-agent.ts"
import { describeSecret, destroy, get, history, list, put, remove, rotate } from "./vault-secrets.ts"

interface Action {
  /** Names of its operands; one with a ? may be left out. */
  readonly takes: readonly string[]
  readonly hasRest?: true
  readonly run: (action: VaultAction) => Promise<ExitCode> | ExitCode
}

const ACTIONS: Readonly<Record<string, Action>> = {
  init: { takes: [], run: init },
  status: { takes: [], run: status },
  unlock: { takes: [], run: unlock },
  lock: { takes: [], run: lock },
  adopt: { takes: [], run: adopt },
  put: { takes: ["NAME"], run: put },
  get: { takes: ["NAME"], run: get },
  describe: { takes: ["NAME"], run: describeSecret },
  list: { takes: [], run: list },
  history: { takes: ["NAME"], run: history },
  rm: { takes: ["NAME"], run: remove },
  destroy: { takes: ["NAME"], run: destroy },
  rotate: { takes: ["NAME?"], run: rotate },
  audit: { takes: ["verify, export or prune?"], run: audit },
  protector: { takes: ["list, add or remove", "NUMBER or recovery?"], run: protector },
  grant: { takes: ["NAME"], run: grant },
  grants: { takes: [], run: grants },
  revoke: { takes: ["NUMBER"], run: revoke },
  sign: { takes: ["specs, system or tools", "DIR?"], run: sign },
  verify: { takes: ["specs, system or tools", "DIR?"], run: verify },
  doctor: { takes: [], run: doctor },
  mount: { takes: ["DIR?"], run: mount },
  unmount: { takes: [], run: unmount },
  export: { takes: ["FILE"], hasRest: true, run: exportToFile },
  import: { takes: ["FILE?"], run: importSecrets },
  exec: { takes: ["PROGRAM"], hasRest: true, run: execute },
  proxy: { takes: ["start, stop or token"], run: proxy },
  keygen: { takes: ["NAME"], run: keygen },
  "public-key": { takes: ["NAME"], run: publicKey },
  "sign-with": { takes: ["NAME"], run: signWith },
  "ssh-agent": { takes: ["NAMES"], hasRest: true, run: sshAgent },
}

export async function runVault({ values, operands, terminal }: VaultInvocation): Promise<ExitCode> {
  const [name = "", ...rest] = operands
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined
  if (action === undefined) {
    const similar = closest(name, VAULT_ACTIONS)
    throw new UsageError(
      `vault has no action "${name}"`,
      similar === undefined ? `one of: ${VAULT_ACTIONS.join(", ")}` : `did you mean ${similar}?`,
    )
  }
  const missing = action.takes.slice(rest.length).find((each) => !each.endsWith("?"))
  if (missing !== undefined) throw new UsageError(`vault ${name}: ${missing} is missing`)
  const surplus = rest[action.takes.length]
  // Not quoted: it may be the value.
  if (surplus !== undefined && (name === "put" || name === "rotate"))
    throw new UsageError(
      `vault ${name}: a value is no argument, where every program of the machine can read it`,
      "give it on stdin, by --from-fd, or type it when asked; one that was given so is known",
    )
  if (surplus !== undefined && action.hasRest !== true)
    throw new UsageError(`vault ${name}: "${surplus}" is one operand too many`)
  return await action.run({ directory: vaultDirectory(values.vault), values, operands: rest, terminal })
}
