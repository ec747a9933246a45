/**
 * Locks the vault before the machine is suspended: systemd-logind waits with that for whoever has taken a delay lock
 * (systemd-inhibit(1), org.freedesktop.login1(5)), five seconds unless it is configured otherwise. Where there is no logind, or no bus, the root
 * key is dropped after the machine has slept (`SuspendWatch`), and the status says so.
 */
import { closeSync } from "node:fs"
import { describe } from "../../clawfs/core/fault.ts"
import type { Log } from "../../clawfs/core/log.ts"
import { DbusLink, busPath } from "../../clawfs/sys/dbus.ts"
import type { DbusMessage } from "../../clawfs/sys/dbus-wire.ts"

const LOGIND = "org.freedesktop.login1"
const MANAGER = "org.freedesktop.login1.Manager"
const PATH = "/org/freedesktop/login1"
const SIGNAL = "PrepareForSleep"
/** Taken up again so long after the bus, or logind, was gone. */
const AGAIN_MS = 30_000

export class SleepLock implements Disposable {
  readonly #lock: () => void
  readonly #log: Log
  readonly #path: string
  readonly #againMs: number
  #link: DbusLink | undefined
  #delay: number | undefined
  #timer: NodeJS.Timeout | undefined
  #isOver = false
  #isTold = false
  #why = "nobody was asked yet"

  /** `lock` is called before the machine sleeps, which waits until this is disposed. `address`: of the system's bus. */
  constructor(lock: () => void, log: Log, address?: string, againMs = AGAIN_MS) {
    this.#lock = lock
    this.#log = log
    this.#path = busPath(address)
    this.#againMs = againMs
  }

  /** Whether the machine waits for us before it sleeps. */
  get isHeld(): boolean {
    return this.#delay !== undefined
  }

  /** Why the machine does not wait; undefined while it does. */
  get missing(): string | undefined {
    return this.isHeld ? undefined : this.#why
  }

  /** Resolves when the lock is taken, or can't be. */
  async start(): Promise<void> {
    try {
      const options = {
        signal: (message: DbusMessage) => void this.#heard(message),
        ended: () => {
          this.#why = "the connection to the bus has ended"
          this.#lost()
        },
      }
      this.#link = await DbusLink.connect(this.#path, options)
      await this.#link.match(
        `type='signal',sender='${LOGIND}',path='${PATH}',interface='${MANAGER}',member='${SIGNAL}'`,
      )
      const args = ["sleep", "ClawFS", "the vault is locked before the machine sleeps", "delay"]
      const { fds } = await this.#link.call({
        ...{ destination: LOGIND, path: PATH, interface: MANAGER, member: "Inhibit", args },
      })
      const [delay, ...more] = fds
      for (const fd of more) closeSync(fd)
      if (this.#isOver && delay !== undefined) closeSync(delay)
      else this.#delay = delay
      this.#isTold = false
    } catch (thrown) {
      this.#why = describe(thrown)
      // Once, not every time that it is tried again.
      if (!this.#isTold)
        this.#log.info("the vault is not locked before the machine sleeps, but after", {
          reason: this.#why,
        })
      this.#isTold = true
      this.#lost()
    }
  }

  /** Anybody can send us a signal: logind's counts. */
  async #heard({ interface: name, member, sender, first }: DbusMessage): Promise<void> {
    if (name !== MANAGER || member !== SIGNAL || first !== 1) return
    try {
      if ((await this.#link?.ownerOf(LOGIND)) === sender) this.#lock()
    } catch (thrown) {
      this.#log.error("who says that the machine will sleep is not known", { reason: describe(thrown) })
    }
  }

  /** Told by the connection's end, and by what was being asked then: it is tried again once. */
  #lost(): void {
    this.#close()
    clearTimeout(this.#timer)
    if (!this.#isOver) this.#timer = setTimeout(() => void this.start(), this.#againMs).unref()
  }

  #close(): void {
    this.#link?.[Symbol.dispose]()
    this.#link = undefined
    if (this.#delay !== undefined) closeSync(this.#delay)
    this.#delay = undefined
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#close()
  }
}
