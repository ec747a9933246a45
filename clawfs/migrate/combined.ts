/** Several sources as one: a database of both generations, or a database and IronClaw's own directory. */
import {
  WHOLE,
  type FoundSecret,
  type Hazard,
  type Item,
  type Ranking,
  type Source,
  type TableReport,
} from "./source.ts"

export class Combined implements Source {
  readonly identity: string
  readonly description: string
  readonly #sources: readonly Source[]

  /** The first one says which source it is. */
  constructor(description: string, [first, ...others]: readonly [Source, ...Source[]]) {
    this.identity = first.identity
    this.description = description
    this.#sources = [first, ...others]
  }

  async tables(): Promise<TableReport[]> {
    const all: TableReport[] = []
    for (const source of this.#sources) all.push(...(await source.tables()))
    return all
  }
  async *items(pass = WHOLE): AsyncGenerator<Item> {
    for (const source of this.#sources) yield* source.items(pass)
  }
  async *hazards(): AsyncGenerator<Hazard> {
    for (const source of this.#sources) yield* source.hazards()
  }
  async *rankings(most: number): AsyncGenerator<Ranking> {
    for (const source of this.#sources) yield* source.rankings(most)
  }
  async *secrets(): AsyncGenerator<FoundSecret> {
    for (const source of this.#sources) yield* source.secrets()
  }
}
