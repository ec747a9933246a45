/** The work of `clawfs import`. */
import { existsSync, mkdirSync, realpathSync, statSync } from "node:fs"
import { dirname, resolve } from "node:path"
import { applyArchive, type Applied, type Conflict } from "../../archive/apply.ts"
import { checkArchive, type Contents } from "../../archive/check.ts"
import { ArchiveReader } from "../../archive/reader.ts"
import { verifyTree } from "../../archive/verify.ts"
import { Fault } from "../../core/fault.ts"
import { openPath } from "../../sys/beneath.ts"
import { Descriptor } from "../../sys/descriptor.ts"
import { UsageError } from "../command.ts"
import type { ImportInvocation } from "../commands/import.ts"
import { ExitCode } from "../exit-code.ts"
import { bytes, humanBytes } from "../numbers.ts"
import { ProgressLine } from "../progress.ts"
import { bundlePassphrase, importBundle } from "../vault/bundle.ts"
import { vaultDirectory } from "../vault/place.ts"
import { MOST_BUNDLE_BYTES, noteKept } from "./vault-bundle.ts"

const O_DIRECTORY = 0o200000
const UMASK = 0o077
const OWN_MODE = 0o700

export function runImport(invocation: ImportInvocation): Promise<ExitCode> {
  const { values, operands, terminal } = invocation
  const [path = "", directory] = operands
  const isRoot = process.getuid?.() === 0
  if (values.privileged === true && !isRoot) throw new Fault("denied", "--privileged is for root")
  if (directory === undefined && values.check !== true && values.secrets !== true)
    throw new UsageError("import: DIRECTORY is missing")
  if (directory !== undefined && values.check === true)
    throw new UsageError("import: --check takes no DIRECTORY")
  const limits = { isPrivileged: values.privileged === true, mostBytes: mostBytes(values["max-bytes"]) }
  using archive = new ArchiveReader(path)
  using progress = new ProgressLine(terminal, "importing")
  const contents = checkArchive(archive, limits, progress.show)
  if (values.check === true) {
    progress.clear()
    return Promise.resolve(checked(invocation, contents))
  }
  const kept = values.secrets === true ? importSecrets(invocation, archive, contents) : []
  if (directory === undefined) return Promise.resolve(kept.length === 0 ? ExitCode.OK : ExitCode.NO)
  process.umask(UMASK)
  const isNew = makes(resolve(directory))
  using target = new Descriptor(openPath(realpathSync(directory), O_DIRECTORY))
  const keepsOwners = isRoot && values["no-owners"] !== true
  const options = { replaces: values.replace === true, keepsOwners, isNew, onProgress: progress.show }
  const applied = applyArchive(archive, contents, target, options)
  verifyTree(archive, contents, target, { ...applied, keepsOwners, onProgress: progress.show })
  progress.clear()
  const code = shown(invocation, contents, applied, directory)
  return Promise.resolve(kept.length === 0 ? code : ExitCode.NO)
}

/** Returns the names of those that were kept as the vault has them. */
function importSecrets(
  { values, terminal }: ImportInvocation,
  archive: ArchiveReader,
  { secrets }: Contents,
): readonly string[] {
  if (secrets === undefined) throw new Fault("invalid", `${archive.path} has no secrets`)
  if (secrets.length > MOST_BUNDLE_BYTES)
    throw new Fault("corrupt", `the secrets in ${archive.path} are no bundle`)
  using passphrase = bundlePassphrase(values, false)
  const bundle = archive.read(Buffer.alloc(secrets.length), secrets.from)
  const options = { bundle, passphrase, replaces: values.replace === true }
  const { stored, same, kept } = importBundle(vaultDirectory(values.vault), options)
  terminal.note(`secrets: ${stored.length} stored, ${same.length} were there`)
  noteKept(kept, terminal)
  return kept
}

function mostBytes(text: string | undefined): number | undefined {
  const value = text === undefined ? undefined : bytes(text)
  if (text !== undefined && value === undefined)
    throw new UsageError(`import: --max-bytes takes a size such as 100G, got "${text}"`)
  return value
}

/** Whether the directory had to be made. */
function makes(directory: string): boolean {
  if (existsSync(directory)) {
    if (statSync(directory).isDirectory()) return false
    throw new Fault("invalid", `${directory} is no directory`)
  }
  if (!existsSync(dirname(directory)))
    throw new Fault("not-found", `there is no directory ${dirname(directory)}`)
  mkdirSync(directory, OWN_MODE)
  return true
}

function checked({ values, operands, terminal }: ImportInvocation, { beginning, end }: Contents): ExitCode {
  const { made, source, clawfs } = beginning
  const { totals, changed, secrets } = end
  if (values.json === true)
    terminal.out(JSON.stringify({ ok: true, made, source, clawfs, totals, changed, secrets }, undefined, 2))
  else
    terminal.out(
      `${operands[0] ?? ""} is whole: ${totals.entries} files and directories (${humanBytes(totals.bytes)}) of ${source}, as of ${made}`,
    )
  for (const name of changed) terminal.note(`${name} was changed while it was exported`)
  return ExitCode.OK
}

function shown(
  { values, terminal }: ImportInvocation,
  { end }: Contents,
  { made, replaced, same, conflicts, conflictCount }: Applied,
  directory: string,
): ExitCode {
  if (values.json === true) {
    const counts = { made, replaced, same, conflictCount }
    terminal.out(
      JSON.stringify({ ok: conflictCount === 0, ...counts, conflicts, totals: end.totals }, undefined, 2),
    )
  } else {
    const lines = conflicts.map(lineOf)
    if (conflictCount > conflicts.length) lines.push(`kept      and ${conflictCount - conflicts.length} more`)
    const counts = `${made} made, ${replaced} replaced, ${same} were there`
    lines.push(`imported into ${directory}: ${counts}, ${conflictCount} differ and were kept; verified`)
    terminal.out(lines.join("\n"))
  }
  if (end.secrets !== null && values.secrets !== true)
    terminal.note("the archive has secrets too: clawfs import --secrets")
  return conflictCount === 0 ? ExitCode.OK : ExitCode.NO
}

function lineOf({ path, differs }: Conflict): string {
  return `kept      ${JSON.stringify(path).slice(1, -1)}: differs in ${differs.join(", ")}`
}
