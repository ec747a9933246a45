/** Grants: who may use which secret for what, how often and until when. Encrypted and bound to the vault and their number. */
import { Fault } from "../clawfs/core/fault.ts"
import type { EndpointText } from "../schema/endpoint.ts"
import type { Query } from "../clawfs/store/database.ts"
import { BLOB_OVERHEAD } from "../keyring/primitives.ts"
import { newSecret } from "../keyring/secret.ts"
import type { Subject } from "./audit.ts"
import { bound } from "./bound.ts"
import type { VaultDatabase } from "./database.ts"
import { damaged, type VaultKeys } from "./keys.ts"
import { SummedRows } from "./row-sums.ts"

/** exec: a program gets the value, its output is watched · inject: the proxy puts it into requests · sign: the vault signs with it · reveal: the value itself is given out */
export type Verb = "exec" | "inject" | "sign" | "reveal"
/** No grant, but the end of all that a user has: he asked for a canary. */
const FREEZE = "freeze"

/** What may be signed; every part that is given limits. */
export interface SignLimits {
  /** Of `SIGN_KINDS` (`sign/kinds.ts`). */
  readonly kinds?: readonly string[] | undefined
  /** aws-sigv4: these REGION/SERVICE, where * stands for any. */
  readonly scopes?: readonly string[] | undefined
  /** jwt: `aud` names one of these, and nobody else. */
  readonly audience?: readonly string[] | undefined
  /** jwt: `exp` is given, and at most so many seconds away. */
  readonly lifetime?: number | undefined
}

/** What is to be signed, as far as it can be limited. */
export interface SignUse {
  readonly kind: string
  readonly scope?: string
  readonly audience?: readonly string[]
  /** Seconds from now. */
  readonly lifetime?: number | undefined
}

export interface Grant {
  /** The secret's id, hexadecimal. */
  readonly secret: string
  readonly verb: Verb | typeof FREEZE
  /** Whose processes; undefined: anybody's. */
  readonly uid?: number | undefined
  /** SHA-256 of the file that the asking process runs, hexadecimal; undefined: of every process. */
  readonly caller?: string | undefined
  /** The asking process is in this control group, or one below; undefined: in any. */
  readonly cgroup?: string | undefined
  /** exec: SHA-256 of the program that gets the value, hexadecimal. */
  readonly program?: string | undefined
  /** exec: the tool of ClawFS that gets the value, and nothing else does; then `program` is the hash of the tool's file. */
  readonly tool?: string | undefined
  /** exec: its arguments must begin with these. */
  readonly args?: readonly string[] | undefined
  readonly sign?: SignLimits | undefined
  /** inject: where to. */
  readonly endpoint?: EndpointText | undefined
  /** Uses left; undefined: no limit. */
  readonly uses?: number | undefined
  /** Milliseconds since 1970; 0: for ever. */
  readonly until: number
  readonly created: number
}

export interface GrantEntry extends Grant {
  readonly id: number
}

export interface Use {
  readonly secret: Buffer
  readonly verb: Verb
  readonly subject: Subject
  readonly program?: string | undefined
  readonly tool?: string | undefined
  readonly args?: readonly string[] | undefined
  readonly sign?: SignUse | undefined
}

/** What was read, as long as no row was written since. */
interface Read {
  readonly stamp: number
  readonly keys: VaultKeys
  readonly entries: readonly GrantEntry[]
}

export class Grants {
  readonly #db: VaultDatabase
  readonly #rows: SummedRows
  /** Grants as they were last read, each with the bytes that it was read from: what has not changed is not decrypted again. */
  #known = new Map<number, { readonly sealed: Buffer; readonly grant: Grant }>()
  #read: Read | undefined
  readonly #all: Query<[], [id: number, sealed: Buffer]>
  readonly #insert: Query<[sealed: Buffer], [id: number]>
  readonly #set: Query<[sealed: Buffer, id: number]>
  readonly #delete: Query<[id: number]>

  constructor(db: VaultDatabase) {
    this.#db = db
    this.#rows = new SummedRows(db, "grant")
    this.#all = db.query('SELECT id, sealed FROM "grant" ORDER BY id')
    this.#insert = db.query('INSERT INTO "grant" (sealed) VALUES (?) RETURNING id')
    this.#set = db.query('UPDATE "grant" SET sealed = ? WHERE id = ?')
    this.#delete = db.query('DELETE FROM "grant" WHERE id = ?')
  }

  /** By number. */
  all(keys: VaultKeys): readonly GrantEntry[] {
    const { stamp } = this.#db
    if (this.#read?.stamp === stamp && this.#read.keys === keys) return this.#read.entries
    const before = this.#known
    this.#known = new Map()
    const entries = this.#all.all().map(([id, sealed]) => {
      const known = before.get(id)
      const grant = known?.sealed.equals(sealed) === true ? known.grant : open(keys, id, sealed)
      this.#known.set(id, { sealed, grant })
      return { ...grant, id }
    })
    this.#read = { stamp, keys, entries }
    return entries
  }

  /** Returns its number. */
  add(keys: VaultKeys, grant: Grant): number {
    const [id] = this.#insert.get(Buffer.alloc(0)) ?? []
    if (id === undefined) throw new Fault("io", "the grant was not written")
    this.#set.run(seal(keys, id, grant), id)
    this.#rows.added([id])
    return id
  }

  remove(id: number): void {
    if (this.#rows.change([id], () => this.#delete.run(id)) === 0)
      throw new Fault("not-found", `the vault has no grant ${id}`)
  }

  /** All that were given for a secret. Returns how many. */
  removeFor(keys: VaultKeys, secret: Buffer): number {
    const of = this.all(keys).filter(
      ({ secret: id, verb }) => id === secret.toString("hex") && verb !== FREEZE,
    )
    for (const { id } of of) this.remove(id)
    return of.length
  }

  /** Ends all grants of a user, those for everybody too; false when that is so already. The caller is in a transaction. */
  freeze(keys: VaultKeys, uid: number, canary: Buffer): boolean {
    if (isFrozen(this.all(keys), { uid, pid: 0 })) return false
    const secret = canary.toString("hex")
    this.add(keys, { ...{ secret, verb: FREEZE, uid, until: 0, created: Date.now() } })
    return true
  }

  /** Whether revoking it would give a user his grants back. */
  isFreeze(keys: VaultKeys, id: number): boolean {
    return this.all(keys).some((grant) => grant.id === id && grant.verb === FREEZE)
  }

  /** A grant that allows the use. Throws `Fault("denied")` where none does. */
  find(keys: VaultKeys, use: Use, now: number): GrantEntry {
    const all = this.all(keys)
    const grant = isFrozen(all, use.subject) ? undefined : all.find((each) => allows(each, use, now))
    if (grant === undefined) throw new Fault("denied", "no grant allows this")
    return grant
  }

  /**
   * Finds a grant that allows the use, and takes one use off it; the caller is in a transaction. Throws `Fault("denied")`,
   * which does not say what is missing.
   */
  take(keys: VaultKeys, use: Use, now: number): number {
    const { id } = this.find(keys, use, now)
    this.spend(keys, id)
    return id
  }

  /** Takes one use off a grant; the caller is in a transaction. */
  spend(keys: VaultKeys, id: number): void {
    const grant = this.all(keys).find((each) => each.id === id)
    if (grant?.uses === undefined) return
    const { id: _, uses, ...rest } = grant
    this.#rows.change([id], () => this.#set.run(seal(keys, id, { ...rest, uses: uses - 1 }), id))
  }

  /** Everything under the next root key; the caller is in a transaction. */
  reseal(keys: VaultKeys, next: VaultKeys): void {
    for (const { id, ...grant } of this.all(keys)) this.#set.run(seal(next, id, grant), id)
  }
}

export function isFrozen(grants: readonly Grant[], { uid }: Subject): boolean {
  return grants.some((grant) => grant.verb === FREEZE && grant.uid === uid)
}

/** Whether a grant is for this verb and who asks, and neither used up nor over. */
export function allowsSubject(grant: Grant, asked: Verb, subject: Subject, now: number): boolean {
  const { verb, uid, caller, cgroup, uses, until } = grant
  return (
    verb === asked &&
    (uid === undefined || uid === subject.uid) &&
    (caller === undefined || caller === subject.hash) &&
    (cgroup === undefined || isWithin(subject.cgroup, cgroup)) &&
    (uses === undefined || uses > 0) &&
    (until === 0 || now < until)
  )
}

function isWithin(group: string | undefined, top: string): boolean {
  return group !== undefined && (group === top || top === "/" || group.startsWith(`${top}/`))
}

/** Whether a grant looks at more of who asks than his user: the program, or its control group. */
export function asksInFull({ caller, cgroup }: Pick<Grant, "caller" | "cgroup">): boolean {
  return caller !== undefined || cgroup !== undefined
}

export function allows(grant: Grant, use: Use, now: number): boolean {
  const { secret, program, tool, args, sign } = grant
  return (
    secret === use.secret.toString("hex") &&
    allowsSubject(grant, use.verb, use.subject, now) &&
    (program === undefined || program === use.program) &&
    // A grant to a tool is none to a program, nor the other way round.
    tool === use.tool &&
    (args === undefined || args.every((arg, at) => use.args?.[at] === arg)) &&
    (sign === undefined || allowsSigning(sign, use.sign))
  )
}

function allowsSigning({ kinds, scopes, audience, lifetime }: SignLimits, use: SignUse | undefined): boolean {
  if (use === undefined) return false
  return (
    (kinds === undefined || kinds.includes(use.kind)) &&
    (scopes === undefined || scopes.some((scope) => isScope(scope, use.scope))) &&
    (audience === undefined || isAmong(use.audience, audience)) &&
    (lifetime === undefined || (use.lifetime !== undefined && use.lifetime <= lifetime))
  )
}

/** Whether something is named, and nothing but what may be. */
function isAmong(named: readonly string[] | undefined, allowed: readonly string[]): boolean {
  return named !== undefined && named.length > 0 && named.every((each) => allowed.includes(each))
}

function isScope(allowed: string, scope: string | undefined): boolean {
  const [wanted, asked] = [allowed.split("/"), scope?.split("/") ?? []]
  return (
    asked.length === 2 &&
    wanted.length === 2 &&
    wanted.every((part, at) => part === "*" || part === asked[at])
  )
}

function binding({ uuid, epoch }: VaultKeys, id: number): Buffer {
  return bound("grant", uuid, epoch, id)
}

function seal(keys: VaultKeys, id: number, grant: Grant): Buffer {
  return keys.seal("grants", binding(keys, id), Buffer.from(JSON.stringify(grant)))
}

function open(keys: VaultKeys, id: number, sealed: Buffer): Grant {
  const what = `grant ${id}`
  if (sealed.length < BLOB_OVERHEAD) throw damaged(what)
  const plain = newSecret(sealed.length - BLOB_OVERHEAD)
  keys.open("grants", binding(keys, id), sealed, plain, what)
  return JSON.parse(plain.toString()) as Grant
}
