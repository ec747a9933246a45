/** Secrets into the vault: all of them in memory first, none written before it is known that all can be. */
import { randomBytes } from "node:crypto"
import { hmac, sameBytes } from "../../../keyring/primitives.ts"
import { wipe } from "../../../keyring/secret.ts"
import { Fault } from "../../core/fault.ts"
import type { Ledger } from "../ledger.ts"
import type { FoundSecret } from "../source.ts"

/** What the vault has of a secret. */
export interface Kept {
  readonly latest: number
  readonly description: string
}

/** The vault, as far as a migration needs it. */
export interface SecretStore {
  /** Those that are not removed, by name. */
  list(): ReadonlyMap<string, Kept>
  /**
   * Stores a value as the next version. `echo`: HMAC-SHA256 under `key` of what the vault then has when it reads it back.
   */
  put(
    name: string,
    value: Buffer,
    options: { readonly description: string; readonly tags: readonly string[]; readonly expires: number },
    key: Buffer,
  ): { readonly version: number; readonly echo: Buffer }
  remove(name: string): void
}

export interface Loss {
  readonly table: string
  readonly id: string
  readonly why: string
}

export interface Transferred {
  readonly made: number
  readonly unchanged: number
  readonly conflicts: readonly Loss[]
}

const MOST_DESCRIPTION_BYTES = 1024
const MOST_SECRETS = 100_000
const MOST_BYTES = 64 * 1024 * 1024
const KEY_BYTES = 32
const LABEL = "clawfs migrate, secrets"

/** Held until disposed of: then every value is wiped. */
export class Secrets implements Disposable {
  readonly found: FoundSecret[] = []

  static async collect(source: AsyncIterable<FoundSecret>): Promise<Secrets> {
    const secrets = new Secrets()
    let bytes = 0
    for await (const each of source) {
      secrets.found.push(each)
      bytes += each.value?.length ?? 0
      if (secrets.found.length <= MOST_SECRETS && bytes <= MOST_BYTES) continue
      secrets[Symbol.dispose]()
      throw new Fault("invalid", `the source has more than ${MOST_SECRETS} secrets, or 64 MiB of them`)
    }
    return secrets
  }

  /** Those that can't be had. */
  get losses(): Loss[] {
    return this.found.flatMap(({ value, key, table, why = "" }) =>
      value === undefined ? [{ table, id: key, why }] : [],
    )
  }

  /** Throws unless all can be had. Names only are told. */
  requireAll(hasMasterKey: boolean): void {
    const lost = this.found.filter(({ value }) => value === undefined)
    if (lost.length === 0) return
    const names = lost.slice(0, 5).map(({ user, original }) => `${user}/${original}`)
    const more = lost.length > names.length ? ` and ${lost.length - names.length} more` : ""
    const hint = hasMasterKey
      ? "clawfs migrate plan says which and why; --skip-undecryptable leaves them behind"
      : "give IronClaw's master key: SECRETS_MASTER_KEY, or --master-key-file FILE; --skip-undecryptable leaves them behind"
    throw new Fault(
      "denied",
      `${lost.length} secrets can't be decrypted (${names.join(", ")}${more}): nothing was written`,
      { hint },
    )
  }

  [Symbol.dispose](): void {
    for (const { value } of this.found) if (value !== undefined) wipe(value)
  }
}

/** `masterKey`: what the values' keyed hashes in the vault's descriptions are made with; without one, `identity`. */
export function transfer(
  { found }: Secrets,
  store: SecretStore,
  ledger: Ledger,
  { masterKey, identity, theirs }: { masterKey: Buffer | undefined; identity: string; theirs: boolean },
): Transferred {
  const present = new Map(store.list())
  const echoKey = randomBytes(KEY_BYTES)
  const conflicts: Loss[] = []
  let [made, unchanged] = [0, 0]
  for (const secret of found) {
    if (secret.value === undefined) continue
    const { key, name, value, table, expires } = secret
    const mac = macOf(masterKey, identity, key, value)
    const kept = present.get(name)
    if (kept !== undefined && macIn(kept.description) === mac) {
      ledger.add({ secret: key, name, version: kept.latest })
      unchanged += 1
      continue
    }
    if (kept !== undefined && !theirs && ledger.secret(key)?.version !== kept.latest) {
      conflicts.push({ table, id: key, why: `the vault has a secret ${name} with another value` })
      continue
    }
    const options = { description: descriptionOf(secret, mac), tags: ["ironclaw"], expires }
    const { version, echo } = store.put(name, value, options, echoKey)
    if (!sameBytes(echo, hmac(echoKey, value)))
      throw new Fault("corrupt", `the vault does not give ${name} back as it was put`)
    ledger.add({ secret: key, name, version })
    present.set(name, { latest: version, description: options.description })
    made += 1
  }
  return { made, unchanged, conflicts }
}

/** A keyed hash of a value, 16 bytes in hexadecimal; bound to the row that it is of. */
export function macOf(masterKey: Buffer | undefined, identity: string, key: string, value: Buffer): string {
  const macKey = hmac(masterKey ?? Buffer.from(identity), Buffer.from(LABEL))
  const mac = hmac(macKey, Buffer.from(`${key}\0`), value)
    .toString("hex")
    .slice(0, 32)
  wipe(macKey)
  return mac
}

/** One line of JSON, encrypted in the vault: where the secret is from, what the source knew of it, a keyed hash. */
function descriptionOf({ user, original, about }: FoundSecret, mac: string): string {
  const short = { from: "ironclaw", mac }
  const whole = JSON.stringify({ ...short, user, name: original, ...about })
  const isFitting = Buffer.byteLength(whole) <= MOST_DESCRIPTION_BYTES && !/\p{Cc}/u.test(whole)
  return isFitting ? whole : JSON.stringify(short)
}

export function macIn(description: string): string | undefined {
  const [, mac] = /^\{"from":"ironclaw","mac":"([0-9a-f]{32})"/.exec(description) ?? []
  return mac
}
