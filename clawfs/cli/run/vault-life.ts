/** `clawfs vault init`, `status`, `unlock`, `lock`, `adopt`. */
import { closeSync, existsSync } from "node:fs"
import { join } from "node:path"
import { ProtectorKind, PROTECTOR_NAMES } from "../../../keyring/protector.ts"
import { randomSecret } from "../../../keyring/secret.ts"
import { DEFAULT_PCRS } from "../../../keyring/tpm-protector.ts"
import { DEFAULT_TCTI } from "../../../keyring/tpm.ts"
import { wordsOf } from "../../../keyring/words.ts"
import { attempts } from "../../../vault/attempts.ts"
import { createVault, type TpmChoice } from "../../../vault/create.ts"
import { VAULT_DB, VaultDatabase } from "../../../vault/database.ts"
import { Protectors } from "../../../vault/protectors.ts"
import { readState } from "../../../vault/state.ts"
import { lockVault } from "../../../vault/service/lock.ts"
import { Fault } from "../../core/fault.ts"
import { forbidDumps } from "../../sys/no-dumps.ts"
import { UsageError } from "../command.ts"
import { ExitCode } from "../exit-code.ts"
import type { Terminal } from "../terminal.ts"
import { callVault, isUnlocked } from "../vault/client.ts"
import { givenPerson, newPerson, pinOf, presentPerson } from "../vault/people.ts"
import { startVault } from "../vault/process.ts"
import { mountOn, mountpointOf } from "./vault-mount.ts"
import { duration, shownTime, wholeNumber } from "../vault/times.ts"
import type { VaultAction } from "../vault/action.ts"

const DEFAULT_IDLE = 12 * 3600
const MOST_PCR = 23

export function pcrsOf(text: string | undefined): readonly number[] {
  if (text === undefined) return DEFAULT_PCRS
  return text === "" ? [] : text.split(",").map((each) => wholeNumber("--pcrs", each, MOST_PCR))
}

function tpmOf(values: VaultAction["values"], pin: Buffer | undefined): TpmChoice | undefined {
  const { tpm, "no-tpm": without } = values
  if (tpm !== undefined && without === true)
    throw new UsageError("vault init: --tpm and --no-tpm exclude each other")
  const isThere = existsSync(DEFAULT_TCTI.slice("device:".length))
  if (without === true || (tpm === undefined && !isThere)) {
    if (pin === undefined) return undefined
    throw new UsageError("vault init: a PIN is for a TPM")
  }
  return { tcti: tpm ?? DEFAULT_TCTI, pcrs: pcrsOf(values.pcrs), pin }
}

export function init({ directory, values, terminal }: VaultAction): ExitCode {
  if (existsSync(join(directory, VAULT_DB)))
    throw new Fault("exists", `there is a vault in ${directory}`, { hint: "clawfs vault status" })
  // The root key is in this process for a moment.
  forbidDumps()
  using pin = pinOf(values)
  const tpm = tpmOf(values, pin?.secret)
  const idleSeconds = values.idle === undefined ? DEFAULT_IDLE : duration("--idle", values.idle)
  using person = newPerson(values, "", values.kdf)
  const words = randomSecret()
  try {
    const recovery = { kind: ProtectorKind.RECOVERY, secret: words }
    const subject = { uid: process.getuid?.() ?? 0, pid: process.pid }
    createVault(directory, { people: [person, recovery], tpm, idleSeconds, subject })
    terminal.note(`the vault in ${directory} is made, and locked`)
    if (tpm === undefined)
      terminal.note("without a TPM: a vault.db that was put back is not noticed after a restart")
    terminal.note("write these recovery words down; they open the vault, and are not shown again:")
    terminal.out(wordsOf(words).join(" "))
    return ExitCode.OK
  } finally {
    words.fill(0)
  }
}

export async function unlock({ directory, values, terminal }: VaultAction): Promise<ExitCode> {
  if (isUnlocked(directory)) {
    terminal.note("the vault is unlocked already")
    return ExitCode.OK
  }
  const mountpoint = values.mount === undefined ? undefined : mountpointOf(values.mount)
  const mounted = (): ExitCode => {
    if (mountpoint !== undefined) mountOn(directory, mountpoint)
    return ExitCode.OK
  }
  using pin = pinOf(values)
  using given = givenPerson(values)
  try {
    await startVault(directory, { person: given, pin: pin?.secret })
    return mounted()
  } catch (thrown) {
    if (given !== undefined || pin !== undefined || !isOpenByPerson(thrown)) throw thrown
    terminal.note(thrown.message)
  }
  using person = presentPerson(values)
  await startVault(directory, { person })
  return mounted()
}

/** There is no TPM that opens it, but a person may. */
function isOpenByPerson(thrown: unknown): thrown is Fault {
  return (
    thrown instanceof Fault &&
    (thrown.kind === "locked" || thrown.kind === "not-found") &&
    process.stdin.isTTY &&
    process.stderr.isTTY
  )
}

export function lock({ directory, terminal }: VaultAction): ExitCode {
  if (!isUnlocked(directory)) {
    terminal.note("the vault is locked already")
    return ExitCode.OK
  }
  callVault(directory, "lock")
  waitUntilFree(directory)
  return ExitCode.OK
}

const END_MS = 10_000
const LOOK_MS = 10

/** The vault's process has wiped its keys and is gone when its lock is free. */
function waitUntilFree(directory: string): void {
  const until = Date.now() + END_MS
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (;;) {
    try {
      closeSync(lockVault(directory))
      return
    } catch (thrown) {
      if (!(thrown instanceof Fault && thrown.kind === "busy") || Date.now() > until) throw thrown
    }
    Atomics.wait(pause, 0, 0, LOOK_MS)
  }
}

export async function adopt({ directory, values, terminal }: VaultAction): Promise<ExitCode> {
  if (isUnlocked(directory)) throw new Fault("busy", "the vault is unlocked", { hint: "clawfs vault lock" })
  using pin = pinOf(values)
  using person = presentPerson(values)
  await startVault(directory, { person, pin: pin?.secret, adopts: true })
  const { tpm } = callVault(directory, "status") as { tpm?: string }
  terminal.note(
    tpm === undefined
      ? "the vault is unlocked and goes on without a TPM; clawfs vault protector add --tpm adds one"
      : "the vault is unlocked, and its TPM counts from here on",
  )
  return ExitCode.OK
}

interface Status {
  readonly state: "locked" | "unlocked"
  readonly [field: string]: unknown
}

export function status({ directory, values, terminal }: VaultAction): ExitCode {
  const found: Status = isUnlocked(directory)
    ? (callVault(directory, "status") as Status)
    : lockedStatus(directory)
  if (values.json === true) terminal.out(JSON.stringify({ directory, ...found }, undefined, 2))
  else showStatus(directory, found, terminal)
  return found.state === "unlocked" ? ExitCode.OK : ExitCode.NO
}

function lockedStatus(directory: string): Status {
  using db = VaultDatabase.open(directory)
  const { uuid, epoch, rotated, counter, idleSeconds } = readState(db)
  const failed = attempts(db)
  return {
    ...{ state: "locked", uuid: uuid.toString("hex"), epoch, rotated, idleSeconds, tpm: counter?.tcti },
    ...{
      detectsRollback: counter !== undefined,
      notesEnd: counter?.note !== undefined,
      failedAttempts: failed.length,
    },
    protectors: new Protectors(db)
      .list()
      .map(({ number, kind, created }) => ({ number, kind: PROTECTOR_NAMES[kind], created })),
  }
}

const MEMORY: Readonly<Record<string, string>> = {
  secret: "memory that not even root's debugger reads",
  locked: "memory that is not swapped or dumped",
  plain: "ordinary memory: this kernel, or its limits, offer nothing better",
}

function showStatus(directory: string, found: Status, terminal: Terminal): void {
  const lines = [`vault       ${directory}`, `state       ${found.state}`]
  const tpm = typeof found["tpm"] === "string" ? found["tpm"] : undefined
  const { epoch, rotated, keyIn, memory, secrets, due, pid, failedAttempts } = found
  if (typeof epoch === "number")
    lines.push(`root key    number ${epoch}, since ${shownTime(Number(rotated))}`)
  if (typeof pid === "number") lines.push(`process     ${pid}`)
  if (typeof found["mountpoint"] === "string") lines.push(`mounted on  ${found["mountpoint"]}`)
  if (typeof keyIn === "string")
    lines.push(`kept in     ${keyIn}, used in ${MEMORY[String(memory)] ?? String(memory)}`)
  if (typeof found["locksBeforeSleep"] === "boolean")
    lines.push(
      `sleep       locked ${found["locksBeforeSleep"] ? "before" : `after: systemd-logind does not wait for it (${String(found["sleepLockMissing"])})`}`,
    )
  if (typeof secrets === "number")
    lines.push(`secrets     ${secrets}, ${String(due)} of them due for a new value`)
  lines.push(
    `rollback    ${tpm === undefined ? "not noticed after a restart: no TPM" : `noticed ${found["notesEnd"] === true ? "" : "since the last new root key, "}by ${tpm}`}`,
  )
  if (typeof failedAttempts === "number" && failedAttempts > 0)
    lines.push(`attempts    ${failedAttempts} to unlock it failed`)
  for (const each of (found["protectors"] ?? []) as readonly Readonly<Record<string, unknown>>[])
    lines.push(protectorLine(each))
  terminal.out(lines.join("\n"))
}

export function protectorLine({
  number,
  kind,
  kdf,
  cost,
  memoryKiB,
  pcrs,
  hasPin,
}: Readonly<Record<string, unknown>>): string {
  const details: string[] = []
  if (typeof kdf === "string") details.push(kdf)
  if (typeof cost === "number" && cost > 0) details.push(String(cost))
  if (typeof memoryKiB === "number" && memoryKiB > 0) details.push(`${memoryKiB / 1024} MiB`)
  if (Array.isArray(pcrs)) details.push(`PCRs ${pcrs.length === 0 ? "none" : pcrs.join(",")}`)
  if (hasPin === true) details.push("PIN")
  return `protector   ${String(number)}: ${String(kind)}${details.length === 0 ? "" : `, ${details.join(", ")}`}`
}
