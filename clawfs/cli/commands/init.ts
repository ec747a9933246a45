/** `clawfs init`: a new store with the six directories of the specification. */
import { readFileSync } from "node:fs"
import { resolve } from "node:path"
import { Fault } from "../../core/fault.ts"
import { createTree, type Owners } from "../../fs/tree.ts"
import { command } from "../command.ts"
import { ExitCode } from "../exit-code.ts"
import type { Terminal } from "../terminal.ts"

const help = `
usage: clawfs init [--user] [--agents-group GROUP] [--users-group GROUP] [--tools-owner USER] STORE

Makes a new, empty store in the directory STORE, which must be missing or empty. The store holds everything;
back it up as a whole. It must not lie inside of a ClawFS mount.

The root of the filesystem gets the directories of the ClawOS specification:
  system      root:root                     0555
  agents      root:clawos-agents            0750
  tools       wasm-agent:clawos-agents      0755
  workspaces  root:clawos-users             0750
  vault       root:root                     0700
  specs       root:root                     0555
A user or group that this machine does not have is replaced by root, and a note says so.

options:
  --user                 everything belongs to you, and you may write in all of it but system and specs;
                         the default when you are not root
  --agents-group GROUP   in place of clawos-agents (name or number)
  --users-group GROUP    in place of clawos-users
  --tools-owner USER     in place of wasm-agent

exit status: 0 done, 64 wrong usage, 73 STORE exists and is not empty, 74 disk error, 77 no permission
`

/** The id of `name` (or a number) in a file like /etc/passwd; undefined when the machine does not have it. */
function idOf(file: string, name: string): number | undefined {
  if (/^\d+$/.test(name)) return Number(name)
  const line = readFileSync(file, "utf8")
    .split("\n")
    .find((entry) => entry.startsWith(`${name}:`))
  const id = line?.split(":")[2]
  return id === undefined ? undefined : Number(id)
}

function resolveId(file: string, name: string, given: boolean, terminal: Terminal): number {
  const id = idOf(file, name)
  if (id !== undefined) return id
  const what = file.endsWith("group") ? "group" : "user"
  if (given) throw new Fault("invalid", `this machine has no ${what} "${name}"`)
  terminal.note(`no ${what} "${name}" on this machine, root takes its place`)
  return 0
}

export const init = command({
  name: "init",
  summary: "make a new store",
  help,
  operands: [1, 1],
  options: {
    user: { type: "boolean" },
    "agents-group": { type: "string" },
    "users-group": { type: "string" },
    "tools-owner": { type: "string" },
  },
  run({ values, positionals, terminal }) {
    const store = resolve(positionals[0] ?? "")
    const uid = process.getuid?.() ?? 0
    const gid = process.getgid?.() ?? 0
    const groups = (name: string, given: string | undefined): number =>
      resolveId("/etc/group", given ?? name, given !== undefined, terminal)
    const own: Owners = { kind: "user", uid, gid }
    const owners: Owners =
      values.user === true || uid !== 0
        ? own
        : {
            kind: "system",
            agentsGid: groups("clawos-agents", values["agents-group"]),
            usersGid: groups("clawos-users", values["users-group"]),
            toolsUid: resolveId(
              "/etc/passwd",
              values["tools-owner"] ?? "wasm-agent",
              values["tools-owner"] !== undefined,
              terminal,
            ),
          }
    createTree(store, owners)
    terminal.out(`made a store in ${store}`)
    return ExitCode.OK
  },
})
