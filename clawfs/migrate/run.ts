/** A run's own directory on the mount: whose source it is for, its ledger, its report, what it replaced. */
import { createHash } from "node:crypto"
import { Fault } from "../core/fault.ts"
import { Ledger } from "./ledger.ts"
import { Target } from "./target.ts"
import { once } from "./once.ts"

export const RUNS = ["system", "migrations"]
const FORMAT = 1
const HEADER = "run.json"
const LEDGER = "ledger.jsonl"
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/
const MODE = 0o600

export interface Header {
  readonly format: typeof FORMAT
  readonly source: string
  readonly description: string
}

/** The name of a run that none was given for: the same for the same source. */
export function runNameOf(identity: string): string {
  return `pg-${createHash("sha256").update(identity).digest("hex").slice(0, 12)}`
}

export function checkRunName(name: string): string {
  if (NAME.test(name)) return name
  throw new Fault("invalid", `"${name}" can't be the name of a run`, {
    hint: "lower case letters, digits and hyphens, up to 64",
  })
}

export class Run implements Disposable {
  readonly name: string
  readonly target: Target
  #ledger: Ledger | undefined

  constructor(mountpoint: string, name: string) {
    this.name = checkRunName(name)
    this.target = new Target(mountpoint, (path) => this.#ledger?.add({ directory: path }))
  }

  get path(): string[] {
    return [...RUNS, this.name]
  }

  /** Undefined where the run was never begun. */
  header(): Header | undefined {
    const bytes = this.target.read([...this.path, HEADER])
    if (bytes === undefined) return undefined
    const header = parsedHeader(bytes)
    if (header?.format === FORMAT) return header
    throw new Fault("corrupt", `${[...this.path, HEADER].join("/")} is damaged, or of another version`)
  }

  get ledger(): Ledger {
    return this.#openLedger()
  }

  #openLedger(): Ledger {
    this.#ledger ??= new Ledger(this.target.openAppend([...this.path, LEDGER]))
    return this.#ledger
  }

  /** Goes on with what there is of the run, or begins it. Throws for the ledger of another source. */
  async begin(identity: string, description: string): Promise<void> {
    const header = this.header()
    if (header !== undefined && header.source !== identity)
      throw new Fault("exists", `the run ${this.name} is of another source: ${header.description}`, {
        hint: "--run NAME begins another one",
      })
    if (header === undefined) {
      const fresh: Header = { format: FORMAT, source: identity, description }
      await this.writeJson(HEADER, fresh)
    }
    this.#openLedger()
  }

  /** A file of the run's own; left alone, and false, if it says the same already. */
  async writeJson(name: string, value: unknown): Promise<boolean> {
    const path = [...this.path, name]
    const bytes = Buffer.from(`${JSON.stringify(value, undefined, 2)}\n`)
    if (this.target.read(path)?.equals(bytes) === true) return false
    const file = { path, mode: MODE, modified: undefined, attributes: {} }
    await this.target.write(file, once(bytes), () => true)
    return true
  }

  [Symbol.dispose](): void {
    this.#ledger?.[Symbol.dispose]()
    this.target[Symbol.dispose]()
  }
}

function parsedHeader(bytes: Buffer): Header | undefined {
  try {
    return JSON.parse(bytes.toString()) as Header
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined
    throw thrown
  }
}
