/** The files of IronClaw's own directory, in the order of their names; links and whatever is no file are passed over. */
import { createReadStream, readdirSync, type Dirent, type Stats, lstatSync } from "node:fs"
import { join } from "node:path"

export interface HomeFile {
  /** From the directory. */
  readonly names: readonly string[]
  readonly path: string
  readonly stat: Stats
}

export function* filesOf(home: string): Generator<HomeFile> {
  yield* below(home, [])
}

function* below(home: string, names: readonly string[]): Generator<HomeFile> {
  const entries = readdirSync(join(home, ...names), { withFileTypes: true })
  entries.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))
  for (const entry of entries) yield* one(home, [...names, entry.name], entry)
}

function* one(home: string, names: readonly string[], entry: Dirent): Generator<HomeFile> {
  if (entry.isDirectory()) yield* below(home, names)
  if (!entry.isFile()) return
  const path = join(home, ...names)
  yield { names, path, stat: lstatSync(path) }
}

export async function* bytesOf(path: string): AsyncGenerator<Buffer> {
  for await (const piece of createReadStream(path)) yield piece as Buffer
}
