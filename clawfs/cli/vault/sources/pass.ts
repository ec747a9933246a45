/** The store of `pass` (passwordstore.org): a file for each password, encrypted by gpg. Its first line is the password. */
import { readdirSync } from "node:fs"
import { homedir } from "node:os"
import { join, relative } from "node:path"
import { Fault } from "../../../core/fault.ts"
import { outputOf } from "./program.ts"
import type { ForeignValue, ForeignValues } from "./value.ts"

const SUFFIX = ".gpg"
const NEWLINE = 0x0a
const RETURN = 0x0d

/** Where `pass` looks. */
export function passDirectory(): string {
  return process.env["PASSWORD_STORE_DIR"] ?? join(homedir(), ".password-store")
}

/** Every password below `directory`; `whole`: all lines of each. Throws a `Fault` where gpg does not open one. */
export function readPass(directory: string, { whole = false }: { whole?: boolean } = {}): ForeignValues {
  const notes: string[] = []
  const values = filesBelow(directory).flatMap((path): ForeignValue[] => {
    const source = relative(directory, path).slice(0, -SUFFIX.length)
    const plain = outputOf("gpg", ["--quiet", "--batch", "--yes", "--decrypt", "--", path], path)
    const end = endOfValue(plain, whole)
    if (end === 0) notes.push(`${source} is empty and was left out`)
    else if (!whole && plain.subarray(end).some((byte) => byte !== NEWLINE && byte !== RETURN))
      notes.push(`of ${source}, only the first line; --whole takes all lines`)
    const value = Buffer.from(new ArrayBuffer(end))
    plain.copy(value)
    plain.fill(0)
    return end === 0 ? [] : [{ source, value }]
  })
  return { values, notes }
}

function endOfValue(plain: Buffer, whole: boolean): number {
  const newline = whole ? plain.length : plain.indexOf(NEWLINE)
  let end = newline < 0 ? plain.length : newline
  while (end > 0 && (plain[end - 1] === NEWLINE || plain[end - 1] === RETURN)) end -= 1
  return end
}

/** In order; what begins with a dot (.git, .gpg-id) is none. */
function filesBelow(directory: string): string[] {
  const entries = list(directory).filter(({ name }) => !name.startsWith("."))
  return entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(directory, entry.name)
      if (entry.isDirectory()) return filesBelow(path)
      return entry.isFile() && entry.name.endsWith(SUFFIX) ? [path] : []
    })
}

function list(directory: string): ReturnType<typeof readEntries> {
  try {
    return readEntries(directory)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause
    throw new Fault("not-found", `there is no password store ${directory}`, { cause })
  }
}

function readEntries(directory: string) {
  return readdirSync(directory, { withFileTypes: true })
}
