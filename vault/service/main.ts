/**
 * The vault's process: it alone has the keys, as long as the vault is unlocked. It ends when the vault is locked, by request,
 * by a signal or because nobody used it.
 */
import { closeSync, readSync, writeSync } from "node:fs"
import { describe, Fault, kindOfThrown } from "../../clawfs/core/fault.ts"
import { Log } from "../../clawfs/core/log.ts"
import { BusyMoments } from "../../clawfs/sys/busy-moments.ts"
import { CpuLatency } from "../../clawfs/sys/cpu-latency.ts"
import { keepFromChildren } from "../../clawfs/sys/inherited.ts"
import { forbidDumps } from "../../clawfs/sys/no-dumps.ts"
import { SecretMemory } from "../../clawfs/sys/secret-memory.ts"
import { SuspendWatch } from "../../clawfs/sys/suspend.ts"
import type { Subject } from "../audit.ts"
import { attempts, clearAttempts, noteAttempt, requireFewAttempts } from "../attempts.ts"
import { VaultDatabase } from "../database.ts"
import { NotedEnd } from "../noted-end.ts"
import { TpmNote } from "../tpm-note.ts"
import { unlock } from "../unlock.ts"
import { Vault } from "../vault.ts"
import { SleepLock } from "./sleep-lock.ts"
import { lockVault } from "./lock.ts"
import { Methods } from "./methods.ts"
import { VaultServer } from "./server.ts"
import { MOST_ORDER_BYTES, StartFd, type StartOrder, type StartReport } from "./start.ts"

const TICK_MS = 2000
const MAINTENANCE_MS = 3_600_000
const SIGNATURE_MS = 600_000
const NEWLINE = 0x0a

const log = new Log("vault")
// Before any secret is here.
forbidDumps()
keepFromChildren(StartFd.ORDER)

/** The order, and what a person gave, in secret memory. */
function readOrder(): { order: StartOrder; memory: SecretMemory; person: Buffer; pin: Buffer } {
  const memory = SecretMemory.allocate(MOST_ORDER_BYTES)
  let length = 0
  for (;;) {
    const got = readSync(StartFd.ORDER, memory.bytes, length, memory.bytes.length - length, null)
    if (got === 0) break
    length += got
  }
  closeSync(StartFd.ORDER)
  const end = memory.bytes.indexOf(NEWLINE)
  const order = JSON.parse(memory.bytes.toString("utf8", 0, end)) as StartOrder
  const middle = end + 1 + (order.person?.bytes ?? 0)
  return {
    ...{ order, memory },
    person: memory.bytes.subarray(end + 1, middle),
    pin: memory.bytes.subarray(middle, middle + order.pinBytes),
  }
}

function report(answer: StartReport): void {
  writeSync(StartFd.REPORT, `${JSON.stringify(answer)}\n`)
  closeSync(StartFd.REPORT)
}

/** The unlocked vault. A failed attempt is written down: the audit gets it when there is a key again. */
function openVault(
  db: VaultDatabase,
  given: ReturnType<typeof readOrder>,
): { readonly vault: Vault; readonly noted: NotedEnd } {
  const { order, person, pin } = given
  const subject: Subject = { uid: order.uid, pid: order.pid }
  // The TPM counts its wrong PINs itself.
  if (order.person !== undefined) requireFewAttempts(db, Date.now())
  try {
    const { keys, protector } = unlock(db, {
      person: order.person === undefined ? undefined : { kind: order.person.kind, secret: person },
      pin: order.pinBytes === 0 ? undefined : pin,
      anyAge: order.adopts,
    })
    const vault = new Vault(db, keys)
    const noted = new NotedEnd(vault.audit)
    const isBehind = noted.behind(keys) > 0
    if (!order.adopts) {
      noted.requireNewest(keys)
      TpmNote.requireNewest(db, vault)
    }
    const failed = attempts(db)
    vault.audited("unlock", subject, (about) => {
      about.detail = { protector, failed }
      clearAttempts(db)
    })
    if (order.adopts) vault.adopt(subject, order.pinBytes === 0 ? undefined : pin, isBehind)
    if (!noted.note(vault.keys)) log.info("the audit's end can't be noted: this kernel has no keyring for it")
    return { vault, noted }
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "denied") noteAttempt(db, subject, thrown.message)
    throw thrown
  }
}

/** The audit's end is signed and noted once more, unless the key has been forgotten already. */
function signLast(vault: Vault, noted: NotedEnd, { tpm, self }: { tpm: TpmNote; self: Subject }): void {
  try {
    if (vault.isLocked()) return
    vault.signAudit(self)
    noted.note(vault.keys)
    tpm.last()
  } catch (thrown) {
    log.error("the audit's end is not signed", { reason: describe(thrown) })
  }
}

function ownLock(directory: string): Disposable {
  const fd = lockVault(directory)
  return { [Symbol.dispose]: () => closeSync(fd) }
}

async function serve(): Promise<void> {
  const given = readOrder()
  const { directory } = given.order
  let [finish, timer]: [() => void, NodeJS.Timeout | undefined] = [() => undefined, undefined]
  const finished = new Promise<void>((resolve) => (finish = resolve))
  // Ended last: it is what keeps the machine awake until the keys are gone.
  using sleepLock = new SleepLock(() => finish(), log, process.env["DBUS_SYSTEM_BUS_ADDRESS"])
  // Free when the keys are wiped and vault.db is closed, its WAL in it: who has waited for that may copy the file.
  using _ = ownLock(directory)
  using db = VaultDatabase.open(directory)
  const { vault: opened, noted } = openVault(db, given)
  using vault = opened
  given.memory[Symbol.dispose]()
  const methods = new Methods(db, vault, finish, { source: directory, log, sleepLock })
  const self: Subject = { uid: process.getuid?.() ?? 0, pid: process.pid }
  const tpm = new TpmNote(db, vault, self)
  using latency = new CpuLatency(log)
  using moments = new BusyMoments(latency)
  {
    await using _ = new VaultServer(directory, methods, log, () => moments.busy())
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, finish)
    process.on("SIGHUP", () => log.debug("signal ignored", { signal: "SIGHUP" }))
    const sleep = new SuspendWatch()
    let [maintained, signed] = [0, Date.now()]
    timer = setInterval(() => {
      if (vault.isLocked() || sleep.hasSlept()) {
        finish()
        return
      }
      try {
        if (Date.now() - signed >= SIGNATURE_MS) {
          signed = Date.now()
          vault.signAudit(self)
        }
        tpm.tick()
        noted.note(vault.keys)
        // Rows about uses, that were not synced one by one.
        db.settle()
        if (Date.now() - maintained < MAINTENANCE_MS) return
        maintained = Date.now()
        vault.maintain(self)
      } catch (thrown) {
        log.error("maintenance failed", { reason: describe(thrown) })
      }
    }, TICK_MS)
    // Not waited for: a bus that hangs must not keep the vault from being used.
    void sleepLock.start()
    report({ ok: true, pid: process.pid })
    await finished
    clearInterval(timer)
  }
  await methods.mounts[Symbol.asyncDispose]()
  signLast(vault, noted, { tpm, self })
}

try {
  await serve()
} catch (thrown) {
  const [kind, hint] =
    thrown instanceof Fault ? [thrown.kind, thrown.hint] : [kindOfThrown(thrown), undefined]
  try {
    report({ ok: false, error: { kind, message: describe(thrown), hint } })
  } catch {
    // Whoever started the process is gone, or has its answer already.
    log.error("vault ended", { reason: describe(thrown) })
  }
  process.exitCode = 1
}
