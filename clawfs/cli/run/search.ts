/** The work of `clawfs search`. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { SearchHit, SearchResponse } from "../../../schema/search-api.ts"
import { call } from "../../api/client.ts"
import { Fault } from "../../core/fault.ts"
import { LONGEST_QUERY } from "../../search/query/parse.ts"
import { UsageError } from "../command.ts"
import { MODES, type SearchInvocation } from "../commands/search.ts"
import { ExitCode } from "../exit-code.ts"
import type { Inside } from "../inside.ts"
import { mountHere } from "../mount-here.ts"
import { count } from "../numbers.ts"
import type { Terminal } from "../terminal.ts"

const MOST_RESULTS = 1000

export async function runSearch({ values, operands, terminal }: SearchInvocation): Promise<ExitCode> {
  const [query = "", directory] = operands
  if (values.paths === true && values.json === true)
    throw new UsageError("search: --paths and --json exclude each other")
  if (values.grep === true) return (await import("./grep.ts")).runGrep({ values, operands, terminal })
  for (const name of ["ignore-case", "fixed"] as const)
    if (values[name] === true) throw new UsageError(`search: --${name} is for --grep`)
  requireShort(query)
  const { mode, limit } = { mode: modeOf(values.mode), limit: limitOf(values.limit) }
  const place = mountHere(directory)
  const below = belowOf(place)
  const options = {
    ...(mode === undefined ? {} : { mode }),
    ...(limit === undefined ? {} : { limit }),
    ...(values.rrf === true ? { fusion: "rrf" } : {}),
    ...(values.fresh === true ? { fresh: true } : {}),
    ...(values.explain === true ? { explain: true } : {}),
  }
  const answer = await ask(place, { query, ...options, ...(below === "" ? {} : { below: [below] }) }, () =>
    throughDirectory(join(place.mountpoint, below), query, Object.keys(options)),
  )
  if (values.json === true) terminal.out(JSON.stringify(answer, undefined, 2))
  else show(answer, place, values.paths === true, terminal)
  return answer.results.length > 0 ? ExitCode.OK : ExitCode.NO
}

/** The daemon's socket is for the store's owner and root; others ask like every program. */
async function ask(
  { store }: Inside,
  params: Record<string, unknown>,
  instead: () => SearchResponse,
): Promise<SearchResponse> {
  try {
    return (await call(store, "search", params)) as SearchResponse
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "denied") return instead()
    throw thrown
  }
}

/** The answer as `.search` of the directory has it: the kernel says there who asks. It takes a query, and nothing else. */
function throughDirectory(directory: string, query: string, options: readonly string[]): SearchResponse {
  const refuse = (message: string): Fault =>
    new Fault(
      "denied",
      `${message} must be asked through the daemon's socket, which is for the store's owner`,
    )
  const [option] = options
  if (option !== undefined) throw refuse(`a search with --${option}`)
  if (query.includes("/") || query.startsWith(".") || Buffer.byteLength(query) > NAME_MAX)
    throw refuse(`a query with a slash, a dot in front, or of more than ${NAME_MAX} bytes`)
  try {
    return JSON.parse(
      readFileSync(join(directory, ".search", query, ".results.json"), "utf8"),
    ) as SearchResponse
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "EINVAL") throw new Fault("invalid", "the query means nothing", { cause })
    if (code === "EAGAIN")
      throw new Fault("busy", "there is no search index yet", { hint: "try again", cause })
    if (code === "ENOENT") throw new Fault("unsupported", "the mount has no search", { cause })
    throw cause
  }
}

const NAME_MAX = 255

/** The socket would refuse it with less to say. */
function requireShort(query: string): void {
  const length = Buffer.byteLength(query)
  if (length <= LONGEST_QUERY) return
  throw new Fault("invalid", `the query has ${length} bytes, more than ${LONGEST_QUERY}`, {
    hint: "search for some words of it",
  })
}

function modeOf(text: string | undefined): string | undefined {
  if (text === undefined || MODES.some((mode) => mode === text)) return text
  throw new UsageError(`search: --mode takes one of ${MODES.join(", ")}, got "${text}"`)
}

function limitOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const limit = count(text)
  if (limit !== undefined && limit <= MOST_RESULTS) return limit
  throw new UsageError(`search: --limit takes a number from 1 to ${MOST_RESULTS}, got "${text}"`)
}

/** From the root, without a slash in front; "": everything. */
export function belowOf({ path }: Inside): string {
  const bytes = Buffer.from(path, "base64").subarray(1)
  const text = bytes.toString()
  if (Buffer.from(text).equals(bytes)) return text
  throw new Fault("invalid", "the directory's name is not UTF-8", { hint: "search in the one above it" })
}

function show(answer: SearchResponse, { mountpoint }: Inside, isPlain: boolean, terminal: Terminal): void {
  const { results, degraded, isFresh } = answer
  for (const sentence of degraded) terminal.note(sentence)
  if (!isFresh) terminal.note("the index is not up to date yet")
  if (results.length === 0) terminal.note("nothing was found")
  const isColored = process.stdout.isTTY && process.env["NO_COLOR"] === undefined
  for (const hit of results) {
    const path = pathOf(mountpoint, hit)
    if (isPlain) terminal.out(path)
    else for (const line of linesOf(hit, path, isColored)) terminal.out(line)
  }
}

function pathOf(mountpoint: string, { path, rawPath }: SearchHit): string {
  // A name that is not UTF-8 is shown as it can be.
  return join(mountpoint, rawPath === undefined ? path : Buffer.from(rawPath, "base64").toString())
}

const BOLD = "\u001b[1m"
const DIM = "\u001b[2m"
const MARK = "\u001b[1;31m"
const PLAIN = "\u001b[0m"

/** What a terminal would obey is not passed on to it. */
function tame(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, "\ufffd")
}

function linesOf(hit: SearchHit, path: string, isColored: boolean): string[] {
  const paint = (code: string, text: string): string => (isColored ? `${code}${text}${PLAIN}` : text)
  const { firstLine, lastLine, heading, score, snippet, parts } = hit
  const lines =
    firstLine === null ? "" : `:${firstLine}${lastLine === firstLine ? "" : `-${String(lastLine)}`}`
  const about = [score.toFixed(2), ...(heading === "" ? [] : [tame(heading)])].join("  ")
  return [
    `${paint(BOLD, tame(path))}${lines}  ${paint(DIM, about)}`,
    ...(snippet === null ? [] : marked(snippet, isColored)).map((line) => `    ${line}`),
    ...(parts === undefined ? [] : [`    ${paint(DIM, JSON.stringify(parts))}`]),
  ]
}

function marked({ text, highlights }: NonNullable<SearchHit["snippet"]>, isColored: boolean): string[] {
  let out = ""
  let at = 0
  for (const [start, end] of isColored ? highlights : []) {
    out += `${tame(text.slice(at, start))}${MARK}${tame(text.slice(start, end))}${PLAIN}`
    at = end
  }
  return `${out}${tame(text.slice(at))}`.split("\n")
}
