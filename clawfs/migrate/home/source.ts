/**
 * IronClaw's own directory, ~/.ironclaw: most installations have their tools there and not in the database, and
 * configuration with credentials in plain text.
 */
import { existsSync, readFileSync, statSync } from "node:fs"
import { Fault } from "../../core/fault.ts"
import { encodeName } from "../names.ts"
import { credentialsIn, referenceTo } from "../secrets/credentials.ts"
import { replaced } from "../secrets/json-strings.ts"
import { vaultName } from "../secrets/names.ts"
import { MOST_VALUE_BYTES, vaultReference } from "../secrets/reference.ts"
import type { FoundSecret, Hazard, Item, Ranking, Source, TableReport } from "../source.ts"
import { bytesOf, filesOf, type HomeFile } from "./files.ts"
import { once } from "../once.ts"

/** The owner of what is in the vault, and of projects. */
const USER = "home"
const OWNER = "default"
const MODE = 0o644
const PRIVATE_MODE = 0o600
const MOST_SEARCHED = 8 * 1024 * 1024

type Kind = "tools" | "skills" | "projects" | "settings" | "environment" | "session" | "archive" | "ignored"

const DIRECTORIES: Readonly<Record<string, Kind>> = {
  ...{
    tools: "tools",
    channels: "tools",
    skills: "skills",
    installed_skills: "skills",
    projects: "projects",
  },
  logs: "ignored",
}
const FILES: Readonly<Record<string, Kind>> = {
  ...{ "mcp-servers.json": "settings", "acp-agents.json": "settings", "settings.json": "settings" },
  ...{
    ".env": "environment",
    "session.json": "session",
    "ironclaw.pid": "ignored",
    ".master_key": "ignored",
  },
}
/** The key that the secrets were encrypted with: of no use any more. */
const MASTER_KEY = "SECRETS_MASTER_KEY"

const TARGETS: Readonly<Record<Kind, string>> = {
  ...{ tools: "tools/imported/home/", skills: "agents/default/skills/", session: "the vault" },
  ...{ projects: `workspaces/${OWNER}/projects-home/`, settings: "system/settings/home/" },
  ...{ environment: "system/settings/home/env, the vault", ignored: "nowhere" },
  archive: "system/migrations/<run>/archive/home/",
}

function kindOf({ names }: HomeFile): Kind {
  const [first = ""] = names
  return (names.length === 1 ? FILES[first] : DIRECTORIES[first]) ?? "archive"
}

export class IronclawHome implements Source {
  readonly identity: string
  readonly description: string
  readonly #home: string
  readonly #run: string

  /** Throws `Fault("not-found")` for what is no directory. */
  constructor(home: string, run: string) {
    if (!existsSync(home) || !statSync(home).isDirectory())
      throw new Fault("not-found", `there is no directory ${home}`, {
        hint: "IronClaw's own one is ~/.ironclaw",
      })
    this.#home = home
    this.#run = run
    this.identity = `home:${home}`
    this.description = `directory ${home}`
  }

  tables(): Promise<TableReport[]> {
    const counts = new Map<Kind, { rows: number; bytes: number }>()
    for (const file of filesOf(this.#home)) {
      const kind = kindOf(file)
      const { rows, bytes } = counts.get(kind) ?? { rows: 0, bytes: 0 }
      counts.set(kind, { rows: rows + 1, bytes: bytes + file.stat.size })
    }
    counts.delete("ignored")
    const reports = [...counts].map(([kind, count]): TableReport => ({
      ...{ table: tableOf(kind), ...count, target: TARGETS[kind] },
      disposition: kind === "archive" ? "archive" : kind === "session" ? "vault" : "files",
    }))
    return Promise.resolve(reports)
  }

  async *items(): AsyncGenerator<Item> {
    for (const file of filesOf(this.#home)) {
      const kind = kindOf(file)
      if (kind !== "ignored" && kind !== "session") yield await Promise.resolve(this.#itemOf(file, kind))
    }
  }

  #itemOf(file: HomeFile, kind: Kind): Item {
    const { names, path, stat } = file
    const changed =
      kind === "environment"
        ? environmentOf(path).text
        : kind === "settings"
          ? settingsOf(file)?.text
          : undefined
    const isPrivate = kind === "archive" || (kind === "settings" && changed === undefined)
    return {
      ...{ key: `${tableOf(kind)}/${names.join("/")}`, table: tableOf(kind), rows: 1, attributes: {} },
      path: this.#placeOf(names, kind),
      original: undefined,
      modified: stat.mtime.toISOString(),
      mode: isPrivate ? PRIVATE_MODE : MODE,
      content: changed === undefined ? () => bytesOf(path) : () => once(changed),
    }
  }

  #placeOf(names: readonly string[], kind: Kind): string[] {
    const encoded = names.map(encodeName)
    switch (kind) {
      case "tools":
        return ["tools", "imported", "home", ...encoded]
      case "skills":
        return ["agents", "default", "skills", ...encoded.slice(1)]
      case "projects":
        return ["workspaces", OWNER, "projects-home", ...encoded.slice(1)]
      case "settings":
        return ["system", "settings", "home", ...encoded]
      case "environment":
        return ["system", "settings", "home", "env"]
      default:
        return ["system", "migrations", this.#run, "archive", "home", ...encoded]
    }
  }

  async *hazards(): AsyncGenerator<Hazard> {
    for await (const { table, key, original, name, value } of this.secrets())
      if (value !== undefined)
        yield {
          ...{ code: "plaintext-credential", table, id: key },
          detail: `${original} is a credential in plain text; it goes to the vault as ${name}`,
        }
    for (const { names } of filesOf(this.#home))
      if (names[0] === "tools" && names.at(-1)?.endsWith(".wasm") === true)
        yield {
          ...{ code: "not-enabled", table: tableOf("tools"), id: names.join("/") },
          detail: "kept, not enabled: this version runs no WebAssembly",
        }
  }

  /** No server ranks the vectors that there may be. */
  async *rankings(): AsyncGenerator<Ranking> {
    yield* await Promise.resolve([])
  }

  async *secrets(): AsyncGenerator<FoundSecret> {
    for (const file of filesOf(this.#home)) {
      const kind = kindOf(file)
      const found =
        kind === "settings"
          ? (settingsOf(file)?.found ?? [])
          : kind === "environment"
            ? environmentOf(file.path).found
            : kind === "session"
              ? [sessionOf(file)]
              : []
      for (const each of found) yield await Promise.resolve(each)
    }
  }
}

const tableOf = (kind: Kind): string => `home-${kind}`

interface Rewritten {
  readonly text: string
  readonly found: readonly FoundSecret[]
}

/** Undefined for what is too long, or no JSON. */
function settingsOf({ path, names, stat }: HomeFile): Rewritten | undefined {
  if (stat.size > MOST_SEARCHED) return undefined
  const text = readFileSync(path, "utf8")
  if (!isJson(text)) return undefined
  const place = names.join("/").replace(/\.json$/, "")
  const credentials = credentialsIn(USER, place, text)
  return {
    text: replaced(
      text,
      credentials.map((each) => ({ ...each, by: referenceTo(each) })),
    ),
    found: credentials.map(({ name, dotted, value }) => secretOf("settings", name, dotted, value)),
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return false
    throw thrown
  }
}

/** Each variable with a value, as each of them may be a key. */
function environmentOf(path: string): Rewritten {
  const found: FoundSecret[] = []
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .map((line) => {
      const [, before = "", variable = "", quoted = ""] =
        /^(\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*)(.*?)\s*$/.exec(line) ?? []
      const value = quoted.replace(/^(["'])(.*)\1$/, "$2")
      if (variable === "" || value === "") return line
      if (variable === MASTER_KEY) return `# ${MASTER_KEY} was the key of IronClaw's secrets`
      const name = vaultName(USER, "env", variable)
      found.push(secretOf("environment", name, variable, value))
      return `${before}${vaultReference(name)}`
    })
  return { text: lines.join("\n"), found }
}

/** The session with a provider, as it is. */
function sessionOf({ path, stat }: HomeFile): FoundSecret {
  const name = vaultName(USER, "session")
  if (stat.size <= MOST_VALUE_BYTES && stat.size > 0)
    return { ...secretOf("session", name, "session.json", readFileSync(path, "utf8")), isRow: true }
  const why = stat.size === 0 ? "it is empty" : `it has more than ${MOST_VALUE_BYTES} bytes`
  return { ...secretOf("session", name, "session.json", ""), value: undefined, why }
}

function secretOf(kind: Kind, name: string, original: string, value: string): FoundSecret {
  const common = { key: `${tableOf(kind)}#${original}`, table: tableOf(kind), name, user: USER, original }
  return { ...common, value: Buffer.from(value), isRow: false, expires: 0, about: {} }
}
