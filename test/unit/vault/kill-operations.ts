/** What can be done with a vault, as data: done by a process that is killed meanwhile, and by a model that is not. */
import { ProtectorKind } from "../../../keyring/protector.ts"
import { Fault } from "../../../clawfs/core/fault.ts"
import { Grants } from "../../../vault/grants.ts"
import type { VaultDatabase } from "../../../vault/database.ts"
import type { Vault } from "../../../vault/vault.ts"
import { Random } from "../../model/random.ts"
import { SUBJECT } from "../../helpers/vault.ts"

const NAMES = ["a", "b", "c"]
const KINDS = [
  "put",
  "put",
  "import",
  "rm",
  "destroy",
  "rotate",
  "grant",
  "revoke",
  "add",
  "remove",
  "sign",
  "prune",
] as const

export interface Operation {
  readonly kind: (typeof KINDS)[number]
  readonly name: string
  readonly value: string
}

/** What a vault has, as far as it matters here. */
export interface State {
  /** Undefined: removed, and to be had back. */
  readonly values: Readonly<Record<string, string | undefined>>
  /** Secrets, in the order in which their grants were given. */
  readonly grants: readonly string[]
  readonly protectors: number
  readonly epoch: number
}

export function operationsOf(seed: number, count: number): Operation[] {
  const random = new Random(seed)
  return Array.from({ length: count }, (_, at) => ({
    kind: random.pick(KINDS),
    name: random.pick(NAMES),
    value: `value ${at} of ${seed}`,
  }))
}

/** As docs/VAULT.md has it. What is refused changes nothing. */
export function applied(
  { values, grants, protectors, epoch }: State,
  { kind, name, value }: Operation,
): State {
  const state = { values, grants, protectors, epoch }
  const isThere = values[name] !== undefined
  if (kind === "put") return { ...state, values: { ...values, [name]: value } }
  if (kind === "import")
    return { ...state, values: Object.fromEntries(NAMES.map((each) => [each, `${value} ${each}`])) }
  if (kind === "rm") return isThere ? { ...state, values: { ...values, [name]: undefined } } : state
  if (kind === "rotate") return { ...state, epoch: epoch + 1 }
  if (kind === "grant") return isThere ? { ...state, grants: [...grants, name] } : state
  if (kind === "revoke") return { ...state, grants: grants.slice(1) }
  if (kind === "add") return { ...state, protectors: protectors + 1 }
  if (kind === "remove") return { ...state, protectors: Math.max(2, protectors - 1) }
  if (kind !== "destroy") return state
  const { [name]: _, ...rest } = values
  return { ...state, values: rest, grants: grants.filter((each) => each !== name) }
}

/** As the service does it. */
export function perform(db: VaultDatabase, vault: Vault, { kind, name, value }: Operation): void {
  const grants = new Grants(db)
  const work: Record<Operation["kind"], () => unknown> = {
    put: () => vault.put(SUBJECT, name, Buffer.from(value)),
    import: () =>
      vault.takeIn(
        SUBJECT,
        (take) => {
          for (const each of NAMES) take({ name: each, value: Buffer.from(`${value} ${each}`) })
        },
        () => true,
      ),
    rm: () => vault.remove(SUBJECT, name),
    destroy: () => vault.destroy(SUBJECT, name, undefined, (id) => grants.removeFor(vault.keys, id)),
    rotate: () => vault.rotate(SUBJECT),
    grant: () =>
      vault.audited("grant", SUBJECT, () => {
        const entry = vault.find(name)
        if (entry?.metadata.removed !== 0) throw new Fault("not-found", "no such secret")
        grants.add(vault.keys, { secret: entry.id.toString("hex"), verb: "sign", until: 0, created: 0 })
      }),
    revoke: () => vault.audited("revoke", SUBJECT, () => grants.remove(grants.all(vault.keys)[0]?.id ?? 0)),
    add: () => vault.addPerson(SUBJECT, { kind: ProtectorKind.RECOVERY, secret: Buffer.alloc(32, 1) }),
    remove: () => {
      if (vault.protectors().length > 2)
        vault.removeProtector(SUBJECT, vault.protectors().at(-1)?.number ?? 0)
    },
    sign: () => vault.signAudit(SUBJECT),
    prune: () => vault.pruneAudit(SUBJECT, Date.now()),
  }
  try {
    work[kind]()
  } catch (thrown) {
    if (!(thrown instanceof Fault) || thrown.kind !== "not-found") throw thrown
  }
}

export function stateOf(db: VaultDatabase, vault: Vault): State {
  const entries = vault.list()
  const names = new Map(entries.map(({ id, metadata }) => [id.toString("hex"), metadata.name]))
  const values = entries.map(({ metadata: { name, removed } }) => [
    name,
    removed === 0 ? vault.use(SUBJECT, "get", { name }, String) : undefined,
  ])
  return {
    values: Object.fromEntries(values) as State["values"],
    grants: new Grants(db).all(vault.keys).map(({ secret }) => names.get(secret) ?? "of nothing"),
    protectors: vault.protectors().length,
    epoch: vault.keys.epoch,
  }
}
