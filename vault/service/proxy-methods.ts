/** Starting and stopping the egress proxy, and what only its process is answered. */
import { writeFileSync } from "node:fs"
import { Fault } from "../../clawfs/core/fault.ts"
import type { Subject } from "../audit.ts"
import type { ProxyReport } from "../proxy/order.ts"
import type { Vault } from "../vault.ts"
import { descriptorOf } from "./answers.ts"
import type { Handlers } from "./call.ts"
import { requireMemory, writeAllFrom } from "./descriptors.ts"
import type { Injector } from "./inject.ts"
import { ProxyProcess } from "./proxy-process.ts"

type Names =
  | "proxy.start"
  | "proxy.stop"
  | "proxy.token"
  | "inject.look"
  | "inject.plan"
  | "inject"
  | "inject.decoys"
  | "inject.tried"
  | "inject.leak"

export interface ProxyMethodsOptions {
  readonly vault: Vault
  readonly injector: Injector
  /** The vault's. */
  readonly directory: string
  readonly asksInFull: () => boolean
}

export class ProxyMethods {
  readonly #vault: Vault
  readonly #injector: Injector
  readonly #directory: string
  readonly #asksInFull: () => boolean
  readonly #proxy = new ProxyProcess()

  constructor({ vault, injector, directory, asksInFull }: ProxyMethodsOptions) {
    this.#vault = vault
    this.#injector = injector
    this.#directory = directory
    this.#asksInFull = asksInFull
  }

  readonly handlers: Pick<Handlers, Names> = {
    "proxy.start": ({ params: { port }, subject }) => {
      this.#vault.audited("proxy-start", subject(), (about) => void (about.detail = { port }))
      return this.#proxy.start({ directory: this.#directory, port })
    },
    "proxy.stop": async ({ subject }) => {
      this.#vault.audited("proxy-stop", subject(), () => undefined)
      await this.#proxy.stop()
    },
    "proxy.token": ({ subject }) => ({
      token: this.#injector.newToken(subject().uid),
      ...this.#whereProxyIs(),
    }),
    "inject.look": ({ params: { token }, subject }) => {
      this.#requireProxy(subject())
      const uid = token === undefined ? undefined : this.#injector.uidOf(token)
      return { asksInFull: this.#asksInFull(), ...(uid === undefined ? {} : { uid }) }
    },
    "inject.plan": ({ params, subject }) => {
      this.#requireProxy(subject())
      return this.#injector.plan(params)
    },
    inject: ({ params: { grant, address, fd, ...wanted }, fds, subject }) => {
      this.#requireProxy(subject())
      const out = descriptorOf(fds, fd)
      return this.#injector.use(wanted, { grant, address }, (value, version) => {
        writeAllFrom(out, value, "the value")
        return { bytes: value.length, version }
      })
    },
    "inject.decoys": ({ params: { fd }, fds, subject }) => {
      this.#requireProxy(subject())
      const out = descriptorOf(fds, fd)
      requireMemory(out)
      writeFileSync(out, JSON.stringify(this.#injector.decoys()))
      return null
    },
    "inject.tried": ({ params: { names, where, ...wanted }, subject }) => {
      this.#requireProxy(subject())
      this.#injector.tried(wanted, names, where)
    },
    "inject.leak": ({ params: { grant, count, ...wanted }, subject }) => {
      this.#requireProxy(subject())
      this.#injector.leaked(wanted, grant, count)
    },
  }

  stop(): Promise<void> {
    return this.#proxy.stop()
  }

  /** The kernel says who connected, and this process's child can't have given its number to another while it lives. */
  #requireProxy({ pid }: Subject): void {
    if (pid !== this.#proxy.pid) throw new Fault("denied", "this is for the vault's own proxy")
  }

  #whereProxyIs(): Partial<ProxyReport> {
    if (this.#proxy.where === undefined)
      throw new Fault("not-found", "the proxy does not run", { hint: "clawfs vault proxy start" })
    return this.#proxy.where
  }
}
