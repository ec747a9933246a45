/** The options by which a secret is given. Never on the command line itself, nor in the environment: others see those. */
import { readKeyFile } from "../../keyring/key-file.ts"
import { askPassphrase, readPassphraseFd, readPassphraseFile } from "../../keyring/passphrase.ts"
import type { KeySource } from "../../keyring/slots.ts"
import { Fault } from "../core/fault.ts"
import { UsageError } from "./command.ts"

export interface SecretValues {
  readonly "key-file"?: string | undefined
  readonly "passphrase-file"?: string | undefined
  readonly "passphrase-fd"?: string | undefined
}

export type Wish = "argon2id" | "pbkdf2" | undefined

/** What opens the tree now. Without an option, a passphrase is asked for. */
export function presentSecret(command: string, values: SecretValues): KeySource {
  return given(command, values, "", undefined) ?? askPassphrase("passphrase", { twice: false })
}

/** What is to open a tree from now on; asked for twice. `prefix`: of the options' names. */
export function newSecret(
  command: string,
  values: SecretValues,
  { prefix = "", kdf }: { prefix?: string; kdf?: string | undefined } = {},
): KeySource {
  const wish = wishOf(command, kdf)
  return given(command, values, prefix, wish) ?? askPassphrase("new passphrase", { twice: true, kdf: wish })
}

function given(command: string, values: SecretValues, prefix: string, wish: Wish): KeySource | undefined {
  const names = ["key-file", "passphrase-file", "passphrase-fd"] as const
  const [first, second] = names.filter((name) => values[name] !== undefined)
  if (second !== undefined)
    throw new UsageError(`${command}: --${prefix}${first ?? ""} and --${prefix}${second} exclude each other`)
  if (first === undefined) return undefined
  const value = values[first] ?? ""
  if (first === "key-file") return readKeyFile(value)
  if (first === "passphrase-file") return readPassphraseFile(value, wish)
  const fd = Number(value)
  if (!/^\d{1,6}$/.test(value)) throw new UsageError(`${command}: "${value}" is no descriptor`)
  return readPassphraseFd(fd, wish)
}

function wishOf(command: string, kdf: string | undefined): Wish {
  if (kdf === undefined || kdf === "argon2id" || kdf === "pbkdf2") return kdf
  throw new UsageError(`${command}: there is no key derivation "${kdf}"`, "argon2id or pbkdf2")
}

/** For messages about a tree that a secret does not open. */
export function explain(thrown: unknown): never {
  if (thrown instanceof Fault && thrown.kind === "denied" && thrown.hint === undefined)
    throw new Fault("denied", thrown.message, {
      cause: thrown,
      hint: "clawfs keys DIR shows what opens it",
    })
  throw thrown
}
