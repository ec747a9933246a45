/** `clawfs vault put`, `get`, `describe`, `list`, `history`, `rm`, `destroy`, `rotate`. */
import { readSync, writeSync } from "node:fs"
import { askPassphrase } from "../../../keyring/passphrase.ts"
import { copySecret, newSecret, wipe } from "../../../keyring/secret.ts"
import { Fault } from "../../core/fault.ts"
import { UsageError } from "../command.ts"
import { ExitCode } from "../exit-code.ts"
import { Attachments, callVault, readTaken } from "../vault/client.ts"
import { askWord } from "../vault/question.ts"
import { descriptor, givenPerson, pinOf, presentPerson } from "../vault/people.ts"
import { moment, shownTime, wholeNumber } from "../vault/times.ts"
import type { VaultAction } from "../vault/action.ts"

const STDIN = 0
const STDOUT = 1
const NEWLINE = 0x0a
const MOST_VALUE_BYTES = 64 * 1024
const MOST_DAYS = 36_500
const MOST_KEPT = 100

/** What the options say of a secret besides its value. */
function metadataOf(values: VaultAction["values"]): Record<string, unknown> {
  const { description, tags, expires, "rotate-days": days, keep } = values
  return {
    ...(description === undefined ? {} : { description }),
    ...(tags === undefined ? {} : { tags: tags.split(",").filter((tag) => tag !== "") }),
    ...(expires === undefined ? {} : { expires: moment("--expires", expires, 1) }),
    ...(days === undefined ? {} : { rotateDays: wholeNumber("--rotate-days", days, MOST_DAYS) }),
    ...(keep === undefined ? {} : { keep: wholeNumber("--keep", keep, MOST_KEPT) }),
  }
}

/** The value: from a descriptor, from stdin, or asked for at a terminal. The caller wipes it. */
function valueOf(values: VaultAction["values"]): Buffer {
  const from = values["from-fd"]
  const fd = from === undefined ? STDIN : descriptor("--from-fd", from)
  if (from === undefined && process.stdin.isTTY) {
    using source = askPassphrase("value", { twice: true })
    return copySecret(source.secret)
  }
  const bytes = newSecret(MOST_VALUE_BYTES + 2)
  let length = 0
  try {
    while (length < bytes.length) {
      const got = readSync(fd, bytes, length, bytes.length - length, null)
      if (got === 0) break
      length += got
    }
  } catch (cause) {
    throw new Fault("invalid", `descriptor ${fd} can't be read`, { cause })
  }
  if (values.raw !== true && bytes[length - 1] === NEWLINE) length -= 1
  if (length <= MOST_VALUE_BYTES) return bytes.subarray(0, length)
  wipe(bytes)
  throw new Fault("invalid", `the value has more than ${MOST_VALUE_BYTES} bytes`)
}

export function put({ directory, values, operands, terminal }: VaultAction, must?: "exist"): ExitCode {
  const [name = ""] = operands
  const wanted = must ?? (values.new === true ? "be new" : undefined)
  const value = valueOf(values)
  const canary = values.canary === true ? { canary: true } : {}
  using attached = new Attachments()
  try {
    const params = { name, fd: attached.give(value), ...metadataOf(values), ...canary }
    const { version } = callVault(
      directory,
      "put",
      wanted === undefined ? params : { ...params, must: wanted },
      attached.fds,
    ) as { version: number }
    if (values.json === true) terminal.out(JSON.stringify({ name, version }))
    else terminal.note(`${name} is stored, version ${version}`)
    return ExitCode.OK
  } finally {
    wipe(value)
  }
}

export function get({ directory, values, operands }: VaultAction): ExitCode {
  const [name = ""] = operands
  if (process.stdout.isTTY && values["to-terminal"] !== true)
    throw new UsageError(
      "vault get: the value would stay on the screen",
      "send it to a program or file, or give --to-terminal",
    )
  const version =
    values.version === undefined ? {} : { version: wholeNumber("--version", values.version, 1e9) }
  using given = givenPerson(values)
  if (given === undefined) confirm(name)
  try {
    return fetched(directory, { name, ...version }, given)
  } catch (thrown) {
    if (!(thrown instanceof Fault && thrown.kind === "denied" && given === undefined)) throw thrown
    if (!process.stdin.isTTY)
      throw new Fault("denied", thrown.message, {
        cause: thrown,
        hint: "the vault's owner may show what opens it, such as --passphrase-file; or see clawfs vault grant",
      })
  }
  using person = presentPerson(values)
  return fetched(directory, { name, ...version }, person)
}

/**
 * A grant to reveal is not all that it takes where there is a terminal: who sits there says yes. What opens the vault says so too.
 * It keeps a person from doing it unawares, not a program from asking the vault's process itself (SECURITY.md).
 */
function confirm(name: string): void {
  if (!process.stdin.isTTY) return
  if (askWord(`the value of ${name} leaves the vault as it is; go on?`, ["no", "yes"]) !== "yes")
    throw new Fault("denied", "the value was not given out, as nobody said yes")
}

function fetched(directory: string, params: object, person: ReturnType<typeof givenPerson>): ExitCode {
  using attached = new Attachments()
  const out = attached.take()
  const proof = person === undefined ? {} : { proof: attached.person(person) }
  callVault(directory, "get", { ...params, ...proof, fd: out.place }, attached.fds)
  const value = readTaken(out.reading, MOST_VALUE_BYTES)
  try {
    for (let at = 0; at < value.length;) at += writeSync(STDOUT, value, at)
    if (process.stdout.isTTY) writeSync(STDOUT, "\n")
    return ExitCode.OK
  } finally {
    wipe(value)
  }
}

export function describeSecret({ directory, values, operands }: VaultAction): ExitCode {
  callVault(directory, "describe", { name: operands[0] ?? "", ...metadataOf(values) })
  return ExitCode.OK
}

interface Listed {
  readonly name: string
  readonly description: string
  readonly tags: readonly string[]
  readonly latest: number
  readonly changed: number
  readonly expires: number
  readonly removed: number
  readonly due: number
  readonly canary?: true
}

export function list({ directory, values, terminal }: VaultAction): ExitCode {
  const found = callVault(directory, "list") as Listed[]
  if (values.json === true) terminal.out(JSON.stringify(found, undefined, 2))
  else if (found.length === 0) terminal.note("the vault is empty")
  else terminal.out(found.map(lineOf).join("\n"))
  return ExitCode.OK
}

function lineOf({ name, latest, changed, expires, removed, due, canary, tags, description }: Listed): string {
  const now = Date.now()
  const words = [
    ...(removed === 0 ? [] : ["removed"]),
    ...(expires !== 0 && expires <= now ? ["expired"] : []),
    ...(due !== 0 && due <= now ? ["due"] : []),
    ...(canary === true ? ["canary"] : []),
    ...tags,
  ]
  const head = `${name.padEnd(32)} v${String(latest).padEnd(4)} ${shownTime(changed)}`
  return [head, words.join(","), description].filter((each) => each !== "").join("  ")
}

export function history({ directory, values, operands, terminal }: VaultAction): ExitCode {
  const versions = callVault(directory, "history", { name: operands[0] ?? "" }) as {
    version: number
    created: number
    isDestroyed: boolean
    bytes: number
  }[]
  if (values.json === true) terminal.out(JSON.stringify(versions, undefined, 2))
  else
    terminal.out(
      versions
        .map(({ version, created, isDestroyed, bytes }) =>
          [`v${version}`.padEnd(6), shownTime(created), isDestroyed ? "destroyed" : `${bytes} bytes`].join(
            "  ",
          ),
        )
        .join("\n"),
    )
  return ExitCode.OK
}

export function remove({ directory, operands }: VaultAction): ExitCode {
  callVault(directory, "rm", { name: operands[0] ?? "" })
  return ExitCode.OK
}

export function destroy({ directory, values, operands }: VaultAction): ExitCode {
  const { version } = values
  const which = version === undefined ? {} : { version: wholeNumber("--version", version, 1e9) }
  callVault(directory, "destroy", { name: operands[0] ?? "", ...which })
  return ExitCode.OK
}

export function rotate(action: VaultAction): ExitCode {
  const { directory, values, operands, terminal } = action
  const ways = [values.root === true, values.due === true, operands[0] !== undefined]
  if (ways.filter(Boolean).length !== 1)
    throw new UsageError("vault rotate: give a NAME, --root or --due, and one of them")
  if (values.root === true) {
    using pin = pinOf(values)
    using attached = new Attachments()
    const params = pin === undefined ? {} : { pin: attached.give(pin.secret) }
    const { epoch } = callVault(directory, "rotate", params, attached.fds) as { epoch: number }
    if (values.json === true) terminal.out(JSON.stringify({ epoch }))
    else terminal.note(`root key ${epoch} is in force`)
    return ExitCode.OK
  }
  if (values.due !== true) return put(action, "exist")
  const now = Date.now()
  const due = (callVault(directory, "list") as Listed[]).filter(({ due: at }) => at !== 0 && at <= now)
  if (values.json === true)
    terminal.out(
      JSON.stringify(
        due.map(({ name, due: at }) => ({ name, due: at })),
        undefined,
        2,
      ),
    )
  else if (due.length > 0) terminal.out(due.map(({ name }) => name).join("\n"))
  return due.length === 0 ? ExitCode.OK : ExitCode.NO
}
