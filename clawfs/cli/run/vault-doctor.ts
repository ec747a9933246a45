/** `clawfs vault doctor`: what of this machine and this vault protects it, and what does not. Needs no key. */
import { readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { HeldRoot } from "../../../keyring/held-root.ts"
import { ProtectorKind } from "../../../keyring/protector.ts"
import { readTpmFixed, sealedBy } from "../../../keyring/tpm-protector.ts"
import { Tpm } from "../../../keyring/tpm.ts"
import { attempts } from "../../../vault/attempts.ts"
import { VAULT_DB, VaultDatabase } from "../../../vault/database.ts"
import { DAY_MS } from "../../../vault/metadata.ts"
import { Protectors } from "../../../vault/protectors.ts"
import { SleepLock } from "../../../vault/service/sleep-lock.ts"
import { readState, type VaultState } from "../../../vault/state.ts"
import { Fault, describe } from "../../core/fault.ts"
import { Log } from "../../core/log.ts"
import { hasArgon2id } from "../../sys/libsodium.ts"
import { ExitCode } from "../exit-code.ts"
import type { VaultAction } from "../vault/action.ts"

/** ok: protects · weak: does not, and the vault works all the same · bad: to be mended */
interface Finding {
  readonly state: "ok" | "weak" | "bad"
  readonly what: string
}

const OTHERS_WRITE = 0o022
const OTHERS = 0o077
const ROTATION_DAYS = 90
/** Far longer than the bus is waited for. */
const MOST_ASKING_MS = 300_000

export async function doctor({ directory, values, terminal }: VaultAction): Promise<ExitCode> {
  using db = VaultDatabase.open(directory)
  const state = readState(db)
  const findings = [
    ...files(directory),
    ...database(db),
    ...machine(),
    await sleep(),
    ...tpm(db, state),
    ...history(db, state),
  ]
  if (values.json === true) terminal.out(JSON.stringify({ directory, findings }, undefined, 2))
  else terminal.out(findings.map((each) => `${each.state.padEnd(5)} ${each.what}`).join("\n"))
  return findings.some((each) => each.state === "bad") ? ExitCode.NO : ExitCode.OK
}

function files(directory: string): Finding[] {
  const [own, db] = [statSync(directory), statSync(join(directory, VAULT_DB))]
  const isOpen = (own.mode & OTHERS_WRITE) !== 0 || (db.mode & OTHERS) !== 0
  return [
    isOpen
      ? { state: "bad", what: `others can write in ${directory} or read ${VAULT_DB}: chmod 711 and 600` }
      : { state: "ok", what: "the vault's files are its owner's alone" },
  ]
}

function database(db: VaultDatabase): Finding[] {
  const [answer = ""] = db.query<[], [string]>("PRAGMA quick_check(1)").get() ?? []
  return [
    answer === "ok"
      ? { state: "ok", what: "the database is whole" }
      : { state: "bad", what: `the database is damaged: ${answer}` },
  ]
}

/** What a vault's process would find here. */
function machine(): Finding[] {
  using held = new HeldRoot(Buffer.alloc(32), { idleSeconds: 1, number: process.pid })
  const swaps = readFileSync("/proc/swaps", "utf8").trim().split("\n").length - 1
  const memory = {
    secret: { state: "ok", what: "keys are used in memory that not even root's debugger reads" },
    locked: { state: "weak", what: "keys are used in locked memory: this kernel has no memfd_secret" },
    plain: {
      state: swaps > 0 ? "bad" : "weak",
      what: `keys are used in ordinary memory${swaps > 0 ? ", which is swapped" : ""}: raise the limit of locked memory`,
    },
  } as const
  return [
    memory[held.memory],
    held.place === "memory"
      ? { state: "weak", what: "the kernel offers no keyring: an unlocked root key is in memory" }
      : { state: "ok", what: "the root key is kept in the kernel while the vault is unlocked" },
    hasArgon2id()
      ? { state: "ok", what: "new passphrases become keys by argon2id" }
      : { state: "weak", what: "libsodium is missing: new passphrases become keys by PBKDF2" },
  ]
}

/** Whether the machine would wait for a vault's process: the same is asked for, and given back at once. */
async function sleep(): Promise<Finding> {
  // Nothing of the bus keeps this process alive.
  const awake = setTimeout(() => undefined, MOST_ASKING_MS)
  using lock = new SleepLock(
    () => undefined,
    new Log("vault-doctor", { level: "error" }),
    process.env["DBUS_SYSTEM_BUS_ADDRESS"],
  )
  await lock.start()
  clearTimeout(awake)
  if (lock.isHeld)
    return { state: "ok", what: "systemd-logind waits until the vault is locked before the machine sleeps" }
  return {
    state: "weak",
    what: `the vault is locked after the machine has slept, not before: systemd-logind does not wait (${lock.missing ?? ""})`,
  }
}

function tpm(db: VaultDatabase, { counter }: VaultState): Finding[] {
  if (counter === undefined)
    return [
      {
        state: "weak",
        what: "no TPM: unlocking needs a person, a vault.db that was put back is not noticed after a restart",
      },
    ]
  try {
    using chip = new Tpm(counter.tcti)
    const own = new Protectors(db).list().find(({ kind }) => kind === ProtectorKind.TPM)
    if (own !== undefined && !sealedBy(own.sealed).equals(chip.identity()))
      return [
        { state: "bad", what: "this is another TPM than the vault's, or it was cleared: clawfs vault adopt" },
      ]
    const { failures, most, intervalSeconds, isLockedOut } = chip.lockout()
    const hasPin = own !== undefined && readTpmFixed(own.fixed).hasPin
    if (hasPin && isLockedOut)
      return [
        {
          state: "bad",
          what: `the TPM is locked out after ${failures} wrong PINs; it forgets one each ${intervalSeconds} s. Other protectors open the vault`,
        },
      ]
    const pins = hasPin ? `, ${failures} of ${most} wrong PINs` : ""
    return [{ state: "ok", what: `the TPM at ${counter.tcti} answers${pins}` }]
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown
    return [{ state: "bad", what: `the vault's TPM can't be asked: ${describe(thrown)}` }]
  }
}

function history(db: VaultDatabase, { rotated }: VaultState): Finding[] {
  const days = Math.floor((Date.now() - rotated) / DAY_MS)
  const failed = attempts(db).length
  return [
    days > ROTATION_DAYS
      ? { state: "weak", what: `the root key is ${days} days old: clawfs vault rotate --root` }
      : { state: "ok", what: `the root key is ${days} days old` },
    ...(failed === 0
      ? []
      : [
          {
            state: "weak" as const,
            what: `${failed} attempts to unlock failed since the vault was last open`,
          },
        ]),
  ]
}
