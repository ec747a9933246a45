/**
 * Identities for the agents that a source brings along: each directory `agents/AGENT` that something goes into gets an
 * `identity.json`, once. IronClaw has none, so it says when the agent's first and last item are of, and is the agent's own from then on.
 */
import { AGENT_NAME } from "../../schema/identity.ts"
import { Fault } from "../core/fault.ts"
import type { IdentityDraft } from "../identity/identity.ts"
import { newIdentityFiles } from "../identity/identity-file.ts"
import { collected } from "./rows.ts"
import {
  WHOLE,
  type FoundSecret,
  type Hazard,
  type Item,
  type Ranking,
  type Source,
  type TableReport,
} from "./source.ts"
import { once } from "./once.ts"

const TABLE = "identities"
const MODE = 0o640
const AGENTS = "agents"
/** The older documents' own table of identities: what fits of a row is taken over. */
const IMPORTED = "agent_identities"
const MOST_IMPORTED = 1024 * 1024
const PARTS = ["version", "state", "memory", "history", "performance"]
/** For agents of which nothing has a time: the same in every run. */
const BEGINNING = "1970-01-01T00:00:00Z"

interface Agent {
  first: string | undefined
  last: string | undefined
  imported: Readonly<Record<string, unknown>>
}

/** The agent that a path is of, if its name can't be one of an identity. */
export function agentWithoutIdentity([top, name = "", ...rest]: readonly string[]): string | undefined {
  return top === AGENTS && rest.length > 0 && !AGENT_NAME.test(name) ? name : undefined
}

export class WithIdentities implements Source {
  readonly identity: string
  readonly description: string
  readonly #source: Source

  constructor(source: Source) {
    this.#source = source
    this.identity = source.identity
    this.description = source.description
  }

  async *items(pass = WHOLE): AsyncGenerator<Item> {
    const agents = new Map<string, Agent>()
    for await (const item of this.#source.items(pass)) {
      yield item
      const [top, name = "", ...rest] = item.path
      if (top === AGENTS && rest.length > 0 && AGENT_NAME.test(name)) await note(agents, name, item)
    }
    for (const [name, agent] of agents) yield* seedsOf(name, agent)
  }

  tables(): Promise<readonly TableReport[]> {
    return this.#source.tables()
  }
  hazards(): AsyncIterable<Hazard> {
    return this.#source.hazards()
  }
  secrets(): AsyncIterable<FoundSecret> {
    return this.#source.secrets()
  }
  rankings(most: number): AsyncIterable<Ranking> {
    return this.#source.rankings(most)
  }
}

async function note(agents: Map<string, Agent>, name: string, item: Item): Promise<void> {
  const agent: Agent = agents.get(name) ?? { first: undefined, last: undefined, imported: {} }
  agents.set(name, agent)
  for (const time of [item.attributes["created_at"], item.modified]) {
    if (time === undefined || !isTime(time)) continue
    if (agent.first === undefined || Date.parse(time) < Date.parse(agent.first)) agent.first = time
    if (agent.last === undefined || Date.parse(time) > Date.parse(agent.last)) agent.last = time
  }
  if (item.table === IMPORTED) agent.imported = await importedFrom(item)
}

/** Not infinity, and not before the year 0 or after 9999. */
const isTime = (text: string): boolean => /^\d{4}-.*Z$/.test(text) && !Number.isNaN(Date.parse(text))

async function importedFrom(item: Item): Promise<Record<string, unknown>> {
  const bytes = await collected(limited(item.content()))
  if (bytes.length > MOST_IMPORTED) return {}
  const row = JSON.parse(bytes.toString()) as Record<string, unknown>
  return Object.fromEntries(PARTS.flatMap((part) => (row[part] == null ? [] : [[part, row[part]]])))
}

/** Up to the piece with which it is too much. */
async function* limited(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let bytes = 0
  for await (const piece of pieces) {
    yield piece
    bytes += piece.length
    if (bytes > MOST_IMPORTED) return
  }
}

function* seedsOf(name: string, { first, last, imported }: Agent): Generator<Item> {
  const times = { created_at: first ?? BEGINNING, updated_at: last ?? BEGINNING }
  const draft: IdentityDraft = { agent_id: name, version: "1.0.0", ...times, origin: "ironclaw" }
  for (const file of filesOf({ ...draft, ...imported }) ?? newIdentityFiles(draft))
    yield {
      ...{ key: `${TABLE}/${name}/${file.path.join("/")}`, table: TABLE, rows: 0, mode: MODE },
      ...{ path: [AGENTS, name, ...file.path], modified: times.updated_at, attributes: {}, isSeed: true },
      content: () => once(file.bytes),
    }
}

/** Undefined where what was imported does not fit the schema; it stays beside, in identity.imported.json. */
function filesOf(draft: IdentityDraft): ReturnType<typeof newIdentityFiles> | undefined {
  try {
    return newIdentityFiles(draft)
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.kind === "invalid") return undefined
    throw thrown
  }
}
