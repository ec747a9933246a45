/**
 * What the vault's socket offers, and to whom: the vault's owner (and root) may change it; what gives a value out, or widens
 * who may use it, needs a proof that a person is there; everybody else needs a grant.
 */
import { randomFillSync } from "node:crypto"
import { Fault } from "../../clawfs/core/fault.ts"
import { ProtectorKind } from "../../keyring/protector.ts"
import { KEY_BYTES } from "../../keyring/secret.ts"
import type { PersonText, VaultMethod, VaultParams } from "../../schema/vault-api.ts"
import type { Subject } from "../audit.ts"
import type { VaultDatabase } from "../database.ts"
import { Grants, asksInFull, type Verb } from "../grants.ts"
import { dueAt } from "../metadata.ts"
import { readState } from "../state.ts"
import { MOST_VALUE_BYTES, type Vault } from "../vault.ts"
import { concealing, descriptorOf, exported, shown } from "./answers.ts"
import { exportSecrets, importSecrets } from "./bundle.ts"
import type { Call, Handlers } from "./call.ts"
import { readAllInto, writeAllFrom } from "./descriptors.ts"
import { importValues } from "./incoming.ts"
import { Executions } from "./executions.ts"
import { Injector, checkEndpoint } from "./inject.ts"
import { ProxyMethods } from "./proxy-methods.ts"
import { listAudit, listGrants, listSecrets } from "./listing.ts"
import { LeakGuard } from "./leak-guard.ts"
import { requireFreeName, signManifest } from "./manifest-key.ts"
import { MountedVault } from "./mounted.ts"
import { Mounts, type MountsOptions } from "./mounts.ts"
import { Signer } from "./sign.ts"
import type { SleepLock } from "./sleep-lock.ts"
import { Proofs, withPerson } from "./proofs.ts"

/** What everybody may ask; what is behind them is decided by grants. */
export const OPEN_METHODS: ReadonlySet<string> = new Set<VaultMethod>([
  ...["status", "get", "exec", "sign", "public-key", "proxy.token"],
] as VaultMethod[])

const EMPTY = Buffer.alloc(0)

interface Place extends MountsOptions {
  /** What tells whether the machine waits for the vault before it sleeps, and why it does not. */
  readonly sleepLock?: Pick<SleepLock, "isHeld" | "missing">
}

export class Methods {
  readonly #db: VaultDatabase
  readonly #vault: Vault
  readonly #grants: Grants
  readonly #proofs: Proofs
  readonly #leaks: LeakGuard
  readonly #executions: Executions
  readonly #signer: Signer
  readonly #proxy: ProxyMethods
  readonly #stop: () => void
  readonly #sleepLock: Place["sleepLock"]
  readonly #since = Date.now()
  readonly handlers: Handlers
  /** Ended with the vault. */
  readonly mounts: Mounts

  /** `place`: the vault's directory and log, for its mount. */
  constructor(db: VaultDatabase, vault: Vault, stop: () => void, place: Place) {
    this.#sleepLock = place.sleepLock
    this.#db = db
    this.#vault = vault
    this.#grants = new Grants(db)
    this.#proofs = new Proofs(db, vault)
    this.#leaks = new LeakGuard(vault, (uid, canary) => this.#grants.freeze(vault.keys, uid, canary))
    this.#executions = new Executions(vault, this.#grants, {
      log: place.log,
      leaks: this.#leaks,
      guard: (names, subject) => this.#guard(names, subject),
      asksInFull: () => this.#asksInFull(),
    })
    this.#signer = new Signer(vault, this.#grants)
    this.#proxy = new ProxyMethods({
      ...{ vault, directory: place.source, asksInFull: () => this.#asksInFull() },
      injector: new Injector(vault, this.#grants, this.#leaks, (names, subject) =>
        this.#guard(names, subject),
      ),
    })
    this.#stop = stop
    const view = new MountedVault(db, vault, {
      directory: place.source,
      guard: (name, caller) => this.#guard([name], caller),
      take: (id, caller) => void this.take(id, "reveal", caller),
      asksInFull: () => this.#asksInFull(),
    })
    this.mounts = new Mounts(view, place)
    this.handlers = { ...this.#own, ...this.#proxy.handlers }
  }

  readonly #own: Omit<Handlers, keyof ProxyMethods["handlers"]> = {
    status: ({ isOwner }) => this.#status(isOwner),
    lock: ({ subject }) => {
      this.#vault.audited("lock", subject(), () => undefined)
      this.#stop()
    },
    put: (call) => this.#put(call),
    describe: ({ params: { name, ...options }, subject }) => this.#vault.describe(subject(), name, options),
    get: (call) => this.#vault.during(() => this.#get(call)),
    list: () => listSecrets(this.#vault),
    history: ({ params }) => this.#vault.history(params.name),
    rm: ({ params, subject }) => this.#vault.remove(subject(), params.name),
    destroy: ({ params: { name, version }, subject }) =>
      this.#vault.destroy(subject(), name, version, (id) => this.#grants.removeFor(this.#vault.keys, id)),
    rotate: ({ params: { pin }, fds, subject }) =>
      this.#withPin(pin, fds, (bytes) => {
        this.#vault.rotate(subject(), bytes)
        return { epoch: this.#vault.keys.epoch }
      }),
    audit: ({ params }) => listAudit(this.#vault, params),
    "audit.verify": ({ params: { seq, mac } }) => {
      const known = seq === undefined || mac === undefined ? undefined : { seq, mac: Buffer.from(mac, "hex") }
      const found = this.#vault.verifyAudit(known)
      return { ...found, mac: found.mac.toString("hex") }
    },
    "audit.export": ({ params: { after } }) => this.#vault.audit.page(after).map(exported),
    "audit.prune": ({ params: { proof, before }, fds, subject }) => {
      this.#prove(proof, fds, subject)
      return { removed: this.#vault.pruneAudit(subject(), before) }
    },
    "protector.list": () => this.#vault.protectors().map(shown),
    "protector.add": ({ params: { proof, person, kdf }, fds, subject }) => {
      this.#prove(proof, fds, subject)
      const given = { kind: person.kind, fd: descriptorOf(fds, person.fd) }
      return withPerson(this.#vault, given, (secret) => ({
        number: this.#vault.addPerson(subject(), { ...secret, kdf }),
      }))
    },
    "protector.add-tpm": ({ params: { proof, tcti, pcrs, pin }, fds, subject }) => {
      this.#prove(proof, fds, subject)
      return this.#withPin(pin, fds, (bytes) => ({
        number: this.#vault.addTpm(subject(), { tcti, pcrs, pin: bytes }),
      }))
    },
    "protector.remove": ({ params: { proof, number }, fds, subject }) => {
      this.#prove(proof, fds, subject)
      this.#vault.removeProtector(subject(), number)
    },
    grant: ({ params: { proof, name, ...grant }, fds, subject }) => {
      if ((grant.verb === "inject") !== (grant.endpoint !== undefined))
        throw new Fault("invalid", "an endpoint belongs to a grant to inject, and only there")
      if (grant.tool !== undefined && (grant.verb !== "exec" || asksInFull(grant)))
        throw new Fault(
          "invalid",
          "a tool belongs to a grant to exec, without a caller's program or control group",
        )
      if (grant.endpoint !== undefined) checkEndpoint(grant.endpoint)
      this.#prove(proof, fds, subject)
      return this.#vault.audited("grant", subject(), (about) => {
        const entry = this.#vault.find(name)
        if (entry?.metadata.removed !== 0)
          throw new Fault("not-found", `the vault has no secret ${JSON.stringify(name)}`)
        about.secret = entry.id
        const created = Date.now()
        const id = this.#grants.add(this.#vault.keys, { ...grant, secret: entry.id.toString("hex"), created })
        about.detail = { grant: id, verb: grant.verb, uid: grant.uid }
        return { id }
      })
    },
    grants: () => listGrants(this.#vault, this.#grants),
    export: ({ params: { proof, passphrase, out, names }, fds, subject }) => {
      this.#prove(proof, fds, subject)
      return this.#withPin(passphrase, fds, (bytes = EMPTY) =>
        exportSecrets(this.#vault, subject(), { passphrase: bytes, out: descriptorOf(fds, out), names }),
      )
    },
    import: ({ params: { passphrase, from, replaces }, fds, subject }) =>
      this.#withPin(passphrase, fds, (bytes = EMPTY) =>
        importSecrets(this.#vault, subject(), { passphrase: bytes, from: descriptorOf(fds, from), replaces }),
      ),
    "import.values": ({ params: { from, preview }, fds, subject }) =>
      importValues(this.#vault, subject(), { preview, from: descriptorOf(fds, from) }),
    scan: ({ params: { from, out, ...how }, fds, subject }) =>
      this.#leaks.scan(subject(), how, { from: descriptorOf(fds, from), out: descriptorOf(fds, out) }),
    exec: (call) => this.#executions.exec(call),
    "tool.exec": (call) => this.#executions.execTool(call),
    generate: ({ params, subject }) => this.#signer.generate(params, subject()),
    sign: ({ params, fds, isOwner, subject }) =>
      concealing(isOwner, () => {
        const asking = subject({ inFull: this.#asksInFull() })
        return this.#vault.during(() => {
          this.#guard([params.name], asking)
          return this.#signer.sign(params, descriptorOf(fds, params.fd), asking)
        })
      }),
    "public-key": ({ params, isOwner, subject }) =>
      concealing(isOwner, () => {
        const asking = subject({ inFull: !isOwner && this.#asksInFull() })
        if (!isOwner) this.#guard([params.name], asking)
        return this.#signer.publicKey(params.name, asking, isOwner)
      }),
    revoke: ({ params: { id, proof }, fds, subject }) => {
      if (this.#grants.isFreeze(this.#vault.keys, id)) {
        if (proof === undefined)
          throw new Fault("denied", "to give a user his grants back needs the passphrase")
        this.#prove(proof, fds, subject)
      }
      this.#vault.audited("revoke", subject(), (about) => {
        about.detail = { grant: id }
        this.#grants.remove(id)
      })
    },
    mount: ({ params: { directory, patience }, subject }) => {
      this.#vault.audited("mount", subject(), (about) => (about.detail = { directory }))
      return this.mounts.mount(directory, patience)
    },
    unmount: () => this.mounts.unmount(),
    "manifest.sign": ({ params: { proof, ...wanted }, fds, subject }) => {
      this.#prove(proof, fds, subject)
      return signManifest(this.#vault, subject(), wanted)
    },
    "tree.new": (call) => this.#newTree(call),
    "tree.key": ({ params: { name, fd }, fds, subject }) =>
      this.#vault.use(subject(), "tree", { name }, (value) =>
        writeAllFrom(descriptorOf(fds, fd), value, "the tree's secret"),
      ),
  }

  /** Throws `Fault("locked")` when the kernel has forgotten the root key, and this process is about to end. */
  requireUnlocked(): void {
    if (this.#vault.isLocked())
      throw new Fault("locked", "the vault is locked", { hint: "clawfs vault unlock" })
  }

  /** The vault was used. */
  touch(): void {
    this.#vault.keys.held.touch()
  }

  #prove(proof: PersonText, fds: readonly number[], subject: () => Subject): void {
    this.#proofs.check(proof, descriptorOf(fds, proof.fd), subject())
  }

  #withPin<T>(pin: number | undefined, fds: readonly number[], work: (pin: Buffer | undefined) => T): T {
    if (pin === undefined) return work(undefined)
    const given = { kind: ProtectorKind.PASSPHRASE, fd: descriptorOf(fds, pin) }
    return withPerson(this.#vault, given, ({ secret }) => work(secret))
  }

  #status(isOwner: boolean): object {
    const { epoch, uuid, idleSeconds, counter, rotated } = readState(this.#db)
    if (!isOwner) return { state: "unlocked" }
    const { held } = this.#vault.keys
    const entries = this.#vault.list().filter(({ metadata }) => metadata.removed === 0)
    const now = Date.now()
    return {
      ...{ state: "unlocked", uuid: uuid.toString("hex"), epoch, rotated, idleSeconds, since: this.#since },
      ...{ pid: process.pid, keyIn: held.place, memory: held.memory, valueMemory: this.#vault.values.kind },
      ...{ mountpoint: this.mounts.mountpoint, tpm: counter?.tcti, detectsRollback: counter !== undefined },
      ...{ notesEnd: counter?.note !== undefined, locksBeforeSleep: this.#sleepLock?.isHeld ?? false },
      sleepLockMissing: this.#sleepLock?.missing,
      secrets: entries.length,
      due: entries.filter(({ metadata }) => dueAt(metadata) !== 0 && dueAt(metadata) <= now).length,
      protectors: this.#vault.protectors().map(shown),
    }
  }

  #put({ params: { name, fd, echo, ...options }, fds, subject }: Call<VaultParams<"put">>): object {
    requireFreeName(name)
    const version = this.#vault.values.borrow(MOST_VALUE_BYTES + 1, (room) => {
      const length = readAllInto(descriptorOf(fds, fd), room, "the value")
      return this.#vault.put(subject(), name, room.subarray(0, length), options)
    })
    if (echo === undefined) return { version }
    return { version, echo: this.#vault.echo(name, version, Buffer.from(echo, "hex")).toString("hex") }
  }

  /** A secret that opens a slot of an encrypted tree: made here, known to nobody else but who asks now. */
  #newTree({ params: { name, description, fd }, fds, subject }: Call<VaultParams<"tree.new">>): void {
    this.#vault.values.borrow(KEY_BYTES, (value) => {
      randomFillSync(value)
      const limits = { rotateDays: 0, must: "be new" } as const
      this.#vault.put(subject(), name, value, { description, tags: ["tree"], ...limits })
      writeAllFrom(descriptorOf(fds, fd), value, "the tree's secret")
    })
  }

  #get({ params: { name, version, fd, proof }, fds, isOwner, subject }: Call<VaultParams<"get">>): object {
    const isProven = isOwner && proof !== undefined
    if (isProven) this.#prove(proof, fds, subject)
    const asking = subject({ inFull: !isProven && this.#asksInFull() })
    if (!isProven) this.#guard([name], asking)
    const out = descriptorOf(fds, fd)
    const allow = (id: Buffer): void => {
      if (!isProven) this.take(id, "reveal", asking)
    }
    return concealing(isOwner, () =>
      this.#vault.use(
        asking,
        "get",
        { name, version },
        (value) => {
          writeAllFrom(out, value, "the value")
          return { bytes: value.length }
        },
        ({ id }) => allow(id),
      ),
    )
  }

  /** Programs that run with secrets end with the vault. */
  async stopPrograms(): Promise<void> {
    this.#executions.stop()
    await this.#proxy.stop()
  }

  #asksInFull(): boolean {
    return this.#grants.all(this.#vault.keys).some(asksInFull)
  }

  /** Who asks for a canary loses all grants, before he is told that none allows this. */
  #guard(names: readonly string[], subject: Subject): void {
    for (const name of names) {
      const entry = this.#vault.find(name)
      if (entry?.metadata.canary !== true || entry.metadata.removed !== 0) continue
      this.#vault.audited("canary", subject, (about) => {
        about.secret = entry.id
        about.detail = { frozen: this.#grants.freeze(this.#vault.keys, subject.uid, entry.id) }
      })
    }
  }

  /** Takes a use off a grant; the caller is in the use's transaction. */
  take(secret: Buffer, verb: Verb, subject: Subject, program?: string, args?: readonly string[]): number {
    return this.#grants.take(this.#vault.keys, { secret, verb, subject, program, args }, Date.now())
  }
}
