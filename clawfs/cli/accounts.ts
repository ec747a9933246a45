/** Users and groups by name, from the files that every machine has. */
import { readFileSync } from "node:fs"

const FILES = { user: "/etc/passwd", group: "/etc/group" } as const
export type AccountKind = keyof typeof FILES

/** The id of `name`, or of a number written out; undefined when this machine does not have it. */
export function idOf(kind: AccountKind, name: string): number | undefined {
  if (/^\d+$/.test(name)) return Number(name)
  const entry = entries(kind).find(([found]) => found === name)
  return entry?.[2] === undefined ? undefined : Number(entry[2])
}

function entries(kind: AccountKind): string[][] {
  return readFileSync(FILES[kind], "utf8")
    .split("\n")
    .map((line) => line.split(":"))
}

/** The accounts that `clawfs init` gives directories to. */
export const AGENTS_GROUP = "clawos-agents"
export const USERS_GROUP = "clawos-users"
export const TOOLS_OWNER = "wasm-agent"
