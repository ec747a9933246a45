/** `clawfs vault import`: a bundle, or what other programs keep (--from). */
import { closeSync, openSync } from "node:fs"
import { Fault } from "../../core/fault.ts"
import { UsageError } from "../command.ts"
import { ExitCode } from "../exit-code.ts"
import type { VaultAction } from "../vault/action.ts"
import { named, offerToVault, type NamedValue, type Wish } from "../vault/incoming.ts"
import { descriptor } from "../vault/people.ts"
import { askWord } from "../vault/question.ts"
import { masterKeyOf, readEncFiles } from "../vault/sources/enc.ts"
import { readEnv } from "../vault/sources/env.ts"
import { readJson } from "../vault/sources/json.ts"
import { passDirectory, readPass } from "../vault/sources/pass.ts"
import { CREDENTIALS, readCredentials } from "../vault/sources/systemd-creds.ts"
import { readSource, type ForeignValues } from "../vault/sources/value.ts"
import { importFromFile } from "./vault-bundle.ts"
import { VAULT_SOURCES } from "../commands/vault.ts"

const STDIN = 0

type Source = (typeof VAULT_SOURCES)[number]

export function importSecrets(action: VaultAction): ExitCode {
  const from = sourceOf(action.values.from)
  if (from === "bundle") return importFromFile(action)
  const { directory, values, terminal } = action
  if (values.replace === true && values.skip === true)
    throw new UsageError("vault import: --replace and --skip exclude each other")
  const foreign = read(from, action)
  try {
    const incoming = named(foreign.values, values.prefix ?? "")
    for (const note of foreign.notes) terminal.note(note)
    if (incoming.length === 0) throw new Fault("invalid", "there is no value to be imported")
    const found = offerToVault(directory, incoming)
    if (values.preview === true) {
      showPreview(action, incoming, found)
      return ExitCode.OK
    }
    const others = found.filter((each) => each.found === "other").map(({ name }) => name)
    return report(action, offerToVault(directory, incoming, wishesFor(others, action)), others)
  } finally {
    for (const { value } of foreign.values) value.fill(0)
  }
}

function sourceOf(text = "bundle"): Source {
  const found = VAULT_SOURCES.find((each) => each === text)
  if (found !== undefined) return found
  throw new UsageError(`vault import: there is no --from "${text}"`, VAULT_SOURCES.join(", "))
}

function read(from: Exclude<Source, "bundle">, { values, operands }: VaultAction): ForeignValues {
  const [path] = operands
  switch (from) {
    case "env":
      return fromInput(path, values["from-fd"], readEnv)
    case "json":
      return fromInput(path, values["from-fd"], readJson)
    case "pass":
      return readPass(path ?? passDirectory(), { whole: values.whole === true })
    case "systemd-creds":
      return readCredentials(path ?? CREDENTIALS)
    case "p1.4":
      return fromEncFiles(path, values["master-key-fd"])
  }
}

/** The text of a file, a descriptor or stdin. */
function fromInput(
  path: string | undefined,
  fd: string | undefined,
  parse: (bytes: Buffer) => ForeignValues,
): ForeignValues {
  if (path !== undefined && path !== "-" && fd !== undefined)
    throw new UsageError("vault import: FILE and --from-fd exclude each other")
  const isFile = path !== undefined && path !== "-"
  if (!isFile && fd === undefined && process.stdin.isTTY)
    throw new UsageError("vault import: FILE is missing", "- reads stdin")
  const source = isFile ? openSync(path, "r") : fd === undefined ? STDIN : descriptor("--from-fd", fd)
  try {
    const bytes = readSource(source, isFile ? path : `descriptor ${source}`)
    try {
      return parse(bytes)
    } finally {
      bytes.fill(0)
    }
  } finally {
    if (isFile) closeSync(source)
  }
}

function fromEncFiles(path: string | undefined, fd: string | undefined): ForeignValues {
  if (path === undefined) throw new UsageError("vault import: FILE is missing")
  if (fd === undefined)
    throw new UsageError("vault import --from p1.4: --master-key-fd is missing", "3, with 3<FILE")
  const bytes = readSource(descriptor("--master-key-fd", fd), "the master key")
  const master = masterKeyOf(bytes)
  try {
    return readEncFiles(path, master)
  } finally {
    bytes.fill(0)
    master.fill(0)
  }
}

/** What becomes of each secret that has another value in the vault. Throws `Fault("exists")` where nobody can be asked. */
function wishesFor(others: readonly string[], { values }: VaultAction): ReadonlyMap<string, Wish> {
  const all = values.replace === true ? "replace" : values.skip === true ? "keep" : undefined
  if (all !== undefined || others.length === 0) return new Map(others.map((name) => [name, all ?? "keep"]))
  const wishes = new Map<string, Wish>()
  for (const [at, name] of others.entries()) {
    const word = askWord(`the vault has another value of ${name}; replace it?`, ["no", "yes", "all", "none"])
    if (word === undefined)
      throw new Fault("exists", `the vault has other values of ${others.join(", ")}`, {
        hint: "--replace replaces them, --skip keeps them",
      })
    const rest = word === "all" || word === "none" ? others.slice(at) : [name]
    for (const each of rest) wishes.set(each, word === "all" || word === "yes" ? "replace" : "keep")
    if (rest.length > 1 || word === "all" || word === "none") break
  }
  return wishes
}

const SHOWN = { new: "new", same: "there", other: "another value is there" } as const

function showPreview(
  { values, terminal }: VaultAction,
  incoming: readonly NamedValue[],
  found: ReturnType<typeof offerToVault>,
): void {
  const rows = incoming.map(({ name, source, value }, at) => ({
    ...{ name, source, bytes: value.length, found: found[at]?.found ?? "new" },
  }))
  if (values.json === true) terminal.out(JSON.stringify(rows, undefined, 2))
  else
    terminal.out(
      rows
        .map(
          ({ name, source, bytes, found: is }) =>
            `${name.padEnd(32)} ${SHOWN[is]}  ${bytes} bytes  ${source}`,
        )
        .join("\n"),
    )
}

function report(
  { values, terminal }: VaultAction,
  found: ReturnType<typeof offerToVault>,
  others: readonly string[],
): ExitCode {
  const of = (which: (each: (typeof found)[number]) => boolean): string[] =>
    found.filter(which).map(({ name }) => name)
  const same = of((each) => each.found === "same")
  const stored = of(({ stored: isStored }) => isStored)
  const kept = others.filter((name) => !stored.includes(name) && !same.includes(name))
  if (values.json === true) terminal.out(JSON.stringify({ stored, same, kept }, undefined, 2))
  else terminal.note(`secrets: ${stored.length} stored, ${same.length} were there, ${kept.length} kept`)
  return kept.length === 0 ? ExitCode.OK : ExitCode.NO
}
