/** Answers the vault's clients, one request at a time. */
import { closeSync, rmSync, writeSync, chmodSync } from "node:fs"
import { join } from "node:path"
import { Fault, describe } from "../../clawfs/core/fault.ts"
import type { Log } from "../../clawfs/core/log.ts"
import { memoryFile } from "../../clawfs/sys/memory-file.ts"
import {
  MOST_MESSAGE_BYTES,
  listenOn,
  peerOf,
  sendMessage,
  throughShortPath,
  type Peer,
} from "../../clawfs/sys/seqpacket.ts"
import { VAULT_PARAMS, VAULT_SOCKET, VaultRequest, type VaultMethod } from "../../schema/vault-api.ts"
import { subjectOf } from "./caller.ts"
import type { Call } from "./call.ts"
import { Clients } from "./clients.ts"
import { OPEN_METHODS, type Methods } from "./methods.ts"

/** Connections of one user, so that nobody can take all. */
const MOST_PER_USER = 32

export class VaultServer implements AsyncDisposable {
  readonly #methods: Methods
  readonly #log: Log
  readonly #path: string
  readonly #clients: Clients
  readonly #peers = new Map<number, Peer>()
  #isClosing = false
  readonly #whenGone = new Map<number, () => void>()

  readonly #busy: () => void

  /** Listens in the vault's directory, whose lock the caller holds. `busy` is called for each request. */
  constructor(directory: string, methods: Methods, log: Log, busy: () => void = () => undefined) {
    this.#busy = busy
    this.#methods = methods
    this.#log = log
    this.#path = join(directory, VAULT_SOCKET)
    rmSync(this.#path, { force: true })
    const listener = throughShortPath(directory, VAULT_SOCKET, listenOn)
    // Everybody may ask; what is answered is decided by who asks.
    chmodSync(this.#path, 0o666)
    this.#clients = new Clients(listener, {
      message: (connection, data, fds) => void this.#serve(connection, data, fds),
      tooLong: (connection) =>
        this.#reply(connection, failure(new Fault("invalid", "the request is too long"))),
      end: (connection) => this.#ended(connection),
    })
  }

  #ended(connection: number): void {
    const peer = this.#peers.get(connection)
    this.#peers.delete(connection)
    this.#whenGone.get(connection)?.()
    if (peer?.pidfd !== undefined) closeSync(peer.pidfd)
  }

  async #serve(connection: number, data: Buffer, fds: readonly number[]): Promise<void> {
    try {
      this.#busy()
      const answer = this.#answer(connection, data, fds)
      // Most are answered at once, and before the next request is looked at.
      const settled = answer instanceof Promise ? await answer : answer
      if (this.#peers.has(connection)) this.#reply(connection, settled)
    } catch (thrown) {
      this.#log.error("answer failed", { reason: describe(thrown) })
    } finally {
      for (const fd of fds) closeSync(fd)
    }
  }

  #peer(connection: number): Peer {
    const known = this.#peers.get(connection)
    if (known !== undefined) return known
    const peer = peerOf(connection)
    const others = [...this.#peers.values()].filter(({ uid }) => uid === peer.uid)
    this.#peers.set(connection, peer)
    if (others.length >= MOST_PER_USER) throw new Fault("busy", "too many connections to the vault")
    return peer
  }

  #answer(connection: number, data: Buffer, fds: readonly number[]): object | Promise<object> {
    try {
      if (this.#isClosing) throw new Fault("locked", "the vault is being locked")
      this.#methods.requireUnlocked()
      const peer = this.#peer(connection)
      const { method, params } = parsed(data)
      const isOwner = peer.uid === process.getuid?.() || peer.uid === 0
      if (!isOwner && !OPEN_METHODS.has(method)) throw new Fault("denied", "the vault is another user's")
      const call = {
        ...{ params, fds, isOwner, gid: peer.gid },
        subject: (options = {}) => subjectOf(peer, options),
        whenGone: (stop: () => void) => void this.#whenGone.set(connection, stop),
      } as unknown as Call<never>
      const result: unknown = this.#methods.handlers[method](call) ?? null
      // Who only looks whether the vault is unlocked does not keep it so, nor who has something looked through.
      if (method !== "status" && method !== "scan") this.#methods.touch()
      if (!(result instanceof Promise)) return { ok: true, result }
      return result
        .then((value: unknown) => ({ ok: true, result: value }))
        .catch((thrown: unknown) => this.#failed(thrown))
        .finally(() => this.#whenGone.delete(connection))
    } catch (thrown) {
      return this.#failed(thrown)
    }
  }

  #failed(thrown: unknown): object {
    if (!(thrown instanceof Fault) || thrown.kind === "bug")
      this.#log.error("request failed", { reason: describe(thrown) })
    return failure(thrown)
  }

  /** Long answers go as a file in memory; there is nothing secret in any. */
  #reply(connection: number, answer: object): void {
    const text = Buffer.from(JSON.stringify(answer))
    if (text.length <= MOST_MESSAGE_BYTES) {
      sendMessage(connection, text)
      return
    }
    const fd = memoryFile("clawfs-vault-answer")
    try {
      writeSync(fd, text)
      sendMessage(connection, Buffer.from("{}"), [fd])
    } finally {
      closeSync(fd)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What was read before the end is refused: a program that started now would not be stopped.
    this.#isClosing = true
    rmSync(this.#path, { force: true })
    await this.#methods.stopPrograms()
    this.#peers.clear()
    this.#clients[Symbol.dispose]()
  }
}

interface ParsedRequest {
  readonly method: VaultMethod
  readonly params: unknown
}

function parsed(data: Buffer): ParsedRequest {
  let value: unknown
  try {
    value = JSON.parse(data.toString())
  } catch {
    // The parser's own message would quote the request, which may be anything.
    throw new Fault("invalid", "the request is not JSON")
  }
  const request = VaultRequest.safeParse(value)
  if (!request.success) throw new Fault("invalid", "the request is no method with parameters")
  const { method } = request.data
  if (!Object.hasOwn(VAULT_PARAMS, method)) throw new Fault("unsupported", `unknown method "${method}"`)
  const known = method as VaultMethod
  const params = VAULT_PARAMS[known].safeParse(request.data.params)
  if (params.success) return { method: known, params: params.data }
  const [issue] = params.error.issues
  throw new Fault("invalid", `${issue?.path.map(String).join(".") ?? ""}: ${issue?.message ?? "invalid"}`)
}

function failure(thrown: unknown): object {
  const [kind, hint] = thrown instanceof Fault ? [thrown.kind, thrown.hint] : ["bug", undefined]
  return { ok: false, error: { kind, message: describe(thrown), hint } }
}
