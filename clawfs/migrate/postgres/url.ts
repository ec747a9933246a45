/** Which server, as libpq understands it: a URL, the PG* variables, ~/.pgpass. The password is never asked for in the URL. */
import { readFileSync, statSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { Fault } from "../../core/fault.ts"

export const SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const
export type SslMode = (typeof SSL_MODES)[number]

export interface Server {
  /** A name or address, or the directory of a socket. */
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
  readonly password: string | undefined
  readonly sslMode: SslMode
  readonly sslRootCert: string | undefined
  readonly sslCert: string | undefined
  readonly sslKey: string | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

const SOCKET_DIRECTORY = "/var/run/postgresql"
const KNOWN = new Set([
  ...["host", "port", "user", "dbname", "password", "sslmode", "sslrootcert", "sslcert", "sslkey"],
  ...["application_name", "connect_timeout", "target_session_attrs", "channel_binding"],
])

/** `passwordGiven`: goes before all others. Throws `Fault("invalid")` for what is no URL of a server. */
export function readUrl(text: string, environment: Environment, passwordGiven?: string): Server {
  const match = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/.exec(text)
  if (match === null)
    throw new Fault("invalid", "this is no URL of a PostgreSQL server", {
      hint: "postgresql://USER@HOST:5432/DATABASE",
    })
  const [, login = "", place = "", path = "", query = ""] = match
  const given = parametersOf(query)
  const [name, secret] = splitOnce(login, ":")
  const { host, port } = hostOf(place)
  const user =
    first(decoded(name), given.get("user"), environment["PGUSER"], environment["USER"]) ?? "postgres"
  const server = {
    host: first(host, given.get("host"), environment["PGHOST"]) ?? SOCKET_DIRECTORY,
    port: portOf(first(port, given.get("port"), environment["PGPORT"]) ?? "5432"),
    user,
    database: first(decoded(path), given.get("dbname"), environment["PGDATABASE"]) ?? user,
    sslMode: sslModeOf(first(given.get("sslmode"), environment["PGSSLMODE"]) ?? "prefer"),
    sslRootCert: first(given.get("sslrootcert"), environment["PGSSLROOTCERT"]),
    sslCert: first(given.get("sslcert"), environment["PGSSLCERT"]),
    sslKey: first(given.get("sslkey"), environment["PGSSLKEY"]),
  }
  const inUrl = secret === undefined ? given.get("password") : decoded(secret)
  const password = passwordGiven ?? first(inUrl, environment["PGPASSWORD"]) ?? fromPgpass(server, environment)
  return { ...server, password }
}

/** Whether a URL carries a password, which other users see in the list of processes. */
export function hasPassword(text: string): boolean {
  return /^postgres(?:ql)?:\/\/[^@/?#]*:[^@/?#]+@/.test(text) || /[?&]password=/.test(text)
}

function parametersOf(query: string): Map<string, string> {
  const given = new Map<string, string>()
  for (const pair of query.split("&").filter((each) => each !== "")) {
    const [name, value = ""] = splitOnce(pair, "=")
    if (!KNOWN.has(name))
      throw new Fault("invalid", `the URL has a parameter "${name}" that is not known`, {
        hint: [...KNOWN].join(", "),
      })
    given.set(name, decoded(value))
  }
  return given
}

function hostOf(place: string): { host: string; port: string | undefined } {
  const [, bracketed, plain = "", port] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d*))?$/.exec(place) ?? []
  if (port === undefined && bracketed === undefined && plain === "" && place !== "")
    throw new Fault("invalid", `"${place}" is no host of a server`)
  return { host: decoded(bracketed ?? plain), port }
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port >= 1 && port <= 65_535) return port
  throw new Fault("invalid", `"${text}" is no port`)
}

function sslModeOf(text: string): SslMode {
  const mode = SSL_MODES.find((each) => each === text)
  if (mode !== undefined) return mode
  throw new Fault("invalid", `there is no sslmode "${text}"`, { hint: SSL_MODES.join(", ") })
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw new Fault("invalid", "the URL has a percent sign that stands for nothing", { cause })
  }
}

const first = (...texts: readonly (string | undefined)[]): string | undefined =>
  texts.find((text) => text !== undefined && text !== "")

function splitOnce(text: string, at: string): [string, string | undefined] {
  const cut = text.indexOf(at)
  return cut < 0 ? [text, undefined] : [text.slice(0, cut), text.slice(cut + 1)]
}

/** https://www.postgresql.org/docs/15/libpq-pgpass.html: a file that others may read is passed over there too. */
function fromPgpass(server: Omit<Server, "password">, environment: Environment): string | undefined {
  const file = first(environment["PGPASSFILE"]) ?? join(environment["HOME"] ?? homedir(), ".pgpass")
  const stat = statSync(file, { throwIfNoEntry: false })
  if (stat?.isFile() !== true || (stat.mode & 0o077) !== 0) return undefined
  const host = server.host.startsWith("/") ? "localhost" : server.host
  const wanted = [host, String(server.port), server.database, server.user]
  for (const line of readFileSync(file, "utf8").split("\n")) {
    if (line.startsWith("#")) continue
    const fields = fieldsOf(line)
    const fits = wanted.every((want, at) => fields[at] === "*" || fields[at] === want)
    if (fields.length >= 5 && fits) return fields[4]
  }
  return undefined
}

/** Colons divide; `\:` and `\\` are themselves. */
function fieldsOf(line: string): string[] {
  let field = ""
  const fields: string[] = []
  for (let at = 0; at < line.length; at += 1) {
    const character = line.charAt(at)
    if (character === ":") {
      fields.push(field)
      field = ""
    } else if (character === "\\") {
      at += 1
      field += line.charAt(at)
    } else field += character
  }
  return [...fields, field]
}
