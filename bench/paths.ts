/** Where things are: sources below bench/, what is built or downloaded once below build/bench-cache/. */
import { existsSync } from "node:fs"
import { dirname, join } from "node:path"
import { pathToFileURL } from "node:url"

/** The repository: the first directory above this file that holds bench/client.c. */
export const root = ((): string => {
  let dir = import.meta.dirname
  while (!existsSync(join(dir, "bench", "client.c"))) {
    if (dir === dirname(dir)) throw new Error(`no bench/client.c above ${import.meta.dirname}`)
    dir = dirname(dir)
  }
  return dir
})()

export const source = (...names: string[]): string => join(root, "bench", ...names)
export const cached = (...names: string[]): string => join(root, "build", "bench-cache", ...names)
/** A compiled module of the benchmark itself, for those that run as a process of their own. */
export const compiled = (...names: string[]): string => join(import.meta.dirname, ...names)
/** A module of the product, compiled: `file` from the top of the repository, with the ending .js. */
export const productModule = (file: string): string =>
  pathToFileURL(join(root, "build", "modules", file)).href
export const clawfsCli = join(root, "dist", "clawfs", "cli", "main.js")
