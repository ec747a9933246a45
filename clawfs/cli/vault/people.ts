/** The options by which a person shows what opens the vault, or chooses what is to open it. */
import { ProtectorKind } from "../../../keyring/protector.ts"
import { readKeyFile, readOwn } from "../../../keyring/key-file.ts"
import { askPassphrase, readPassphraseFd, readPassphraseFile } from "../../../keyring/passphrase.ts"
import { SourceKind, type KeySource } from "../../../keyring/slots.ts"
import { keyOfWords } from "../../../keyring/words.ts"
import type { PersonSecret } from "../../../keyring/secret-protector.ts"
import { UsageError } from "../command.ts"

/** A person's secret, wiped when disposed. */
export interface Person extends PersonSecret, Disposable {}

const NAMES = ["key-file", "passphrase-file", "passphrase-fd", "recovery-file"] as const
type Name = (typeof NAMES)[number]
export type PersonValues = Readonly<Partial<Record<Name | "recovery" | `new-${Name}`, string | boolean>>>
export type Wish = "argon2id" | "pbkdf2" | undefined

/** Of a key file or a passphrase. */
function personOf(source: KeySource, kdf?: Wish): Person {
  const { secret } = source
  const kind = source.kind === SourceKind.PASSPHRASE ? ProtectorKind.PASSPHRASE : ProtectorKind.KEY_FILE
  return { kind, secret, kdf, [Symbol.dispose]: () => source[Symbol.dispose]() }
}

function recoveryOf(words: Buffer): Person {
  const secret = keyOfWords(words.toString())
  words.fill(0)
  return { kind: ProtectorKind.RECOVERY, secret, [Symbol.dispose]: () => void secret.fill(0) }
}

/** What the options say; undefined when they say nothing. `prefix`: of the options' names. */
export function givenPerson(values: PersonValues, prefix: "" | "new-" = "", kdf?: Wish): Person | undefined {
  const given = NAMES.filter((name) => values[`${prefix}${name}`] !== undefined)
  const [name, second] = given
  if (second !== undefined)
    throw new UsageError(`vault: --${prefix}${name ?? ""} and --${prefix}${second} exclude each other`)
  if (name === undefined) return prefix === "" && values.recovery === true ? askWords() : undefined
  const value = String(values[`${prefix}${name}`])
  switch (name) {
    case "key-file":
      return personOf(readKeyFile(value))
    case "passphrase-file":
      return personOf(readPassphraseFile(value), kdf)
    case "recovery-file":
      return recoveryOf(readOwn(value, "file of recovery words"))
    case "passphrase-fd":
      return personOf(readPassphraseFd(descriptor("--passphrase-fd", value)), kdf)
  }
}

function askWords(): Person {
  using source = askPassphrase("recovery words", { twice: false })
  return recoveryOf(Buffer.from(source.secret))
}

/** What opens the vault now; a passphrase is asked for if the options say nothing. */
export function presentPerson(values: PersonValues): Person {
  return givenPerson(values) ?? personOf(askPassphrase("passphrase of the vault", { twice: false }))
}

/** What is to open the vault; a passphrase is asked for twice if the options say nothing. */
export function newPerson(values: PersonValues, prefix: "" | "new-", kdf: string | undefined): Person {
  const wish = wishOf(kdf)
  return (
    givenPerson(values, prefix, wish) ??
    personOf(askPassphrase("new passphrase of the vault", { twice: true }), wish)
  )
}

/** A TPM's PIN, from a descriptor; the caller wipes it. */
export function pinOf(values: { readonly "pin-fd"?: string }): KeySource | undefined {
  const text = values["pin-fd"]
  return text === undefined ? undefined : readPassphraseFd(descriptor("--pin-fd", text))
}

function wishOf(kdf: string | undefined): Wish {
  if (kdf === undefined || kdf === "argon2id" || kdf === "pbkdf2") return kdf
  throw new UsageError(`vault: there is no key derivation "${kdf}"`, "argon2id or pbkdf2")
}

export function descriptor(option: string, text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text)
  throw new UsageError(`vault: ${option} takes the number of a descriptor, got "${text}"`)
}
