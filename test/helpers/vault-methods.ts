/** What the vault's socket offers, asked in this process, by whichever user, without the socket. */
import { closeSync, readSync, writeSync } from "node:fs"
import { Log } from "../../clawfs/core/log.ts"
import { checked } from "../../clawfs/sys/ffi.ts"
import { pipe2 } from "../../clawfs/sys/libc.ts"
import { VAULT_PARAMS, type PersonText, type VaultMethod } from "../../schema/vault-api.ts"
import type { Subject } from "../../vault/audit.ts"
import type { Call } from "../../vault/service/call.ts"
import { Methods } from "../../vault/service/methods.ts"
import { unlock } from "../../vault/unlock.ts"
import { Vault } from "../../vault/vault.ts"
import type { VaultDatabase } from "../../vault/database.ts"
import { KEY, TestVault } from "./vault.ts"

export const OWNER: Subject = { uid: 0, pid: 1, program: "/usr/bin/owner" }
export const AGENT: Subject = { uid: 1001, pid: 4242, program: "/usr/bin/agent", hash: "ab".repeat(32) }

export class TestMethods implements Disposable {
  readonly place = new TestVault()
  readonly vault: Vault
  readonly db: VaultDatabase
  readonly methods: Methods
  isStopped = false

  constructor() {
    this.db = this.place.database()
    this.vault = new Vault(this.db, unlock(this.db, { person: KEY, inKernel: false }).keys)
    this.methods = new Methods(this.db, this.vault, () => (this.isStopped = true), {
      source: this.place.directory,
      log: new Log("vault"),
    })
  }

  /** `inputs` are given through pipes, whose places are their indexes. Throws what the method throws. */
  call(subject: Subject, method: VaultMethod, params: object, inputs: readonly Uint8Array[] = []): unknown {
    const fds = inputs.map((bytes) => full(bytes))
    try {
      return this.callWith(subject, method, params, fds)
    } finally {
      for (const fd of fds) closeSync(fd)
    }
  }

  callWith(subject: Subject, method: VaultMethod, params: object, fds: readonly number[]): unknown {
    const call = {
      ...{ params: VAULT_PARAMS[method].parse(params), fds, isOwner: subject.uid === 0, gid: subject.uid },
      subject: () => subject,
      whenGone: () => undefined,
    } as unknown as Call<never>
    return this.methods.handlers[method](call)
  }

  /** What `get` would write. */
  get(subject: Subject, name: string): string {
    const [reading, writing] = pipe()
    try {
      this.callWith(subject, "get", { name, fd: 0 }, [writing])
      const bytes = Buffer.alloc(70_000)
      return bytes.toString("latin1", 0, readSync(reading, bytes, 0, bytes.length, null))
    } finally {
      closeSync(reading)
      closeSync(writing)
    }
  }

  put(name: string, value: Uint8Array | string, options: object = {}): void {
    this.call(OWNER, "put", { name, fd: 0, ...options }, [Buffer.from(value)])
  }

  grant(name: string, verb: string, limits: object = {}): number {
    const proof: PersonText = { kind: KEY.kind, fd: 0 }
    const { id } = this.call(OWNER, "grant", { proof, name, verb, until: 0, ...limits }, [KEY.secret]) as {
      id: number
    }
    return id
  }

  [Symbol.dispose](): void {
    this.vault[Symbol.dispose]()
    this.place[Symbol.dispose]()
  }
}

export function pipe(): [reading: number, writing: number] {
  const pair = Buffer.alloc(8)
  checked("pipe2", pipe2(pair, 0o2000000))
  return [pair.readInt32LE(0), pair.readInt32LE(4)]
}

/** A pipe's end that gives `bytes`. */
function full(bytes: Uint8Array): number {
  const [reading, writing] = pipe()
  for (let at = 0; at < bytes.length;) at += writeSync(writing, bytes, at)
  closeSync(writing)
  return reading
}
