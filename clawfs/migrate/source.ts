/** What a migration reads: the port behind which each kind of source is the same stream of files and secrets. */

/** A file to be made. A source gives its items always in the same order, with the same content for the same rows. */
export interface Item {
  /** `TABLE/ID`: the same in every run, whatever the file is called. */
  readonly key: string
  readonly table: string
  /** How many rows of the table are in it. */
  readonly rows: number
  /** From the mount's root; each a name that can be one. */
  readonly path: readonly string[]
  /** What the source calls it, where that can't be its name. */
  readonly original?: string | undefined
  /** ISO 8601 in UTC; undefined: the time of writing. */
  readonly modified?: string | undefined
  readonly mode: number
  /** Becomes attributes `user.clawfs.NAME`. */
  readonly attributes: Readonly<Record<string, string>>
  /** Made where there is nothing, and left alone from then on, as its owner changes it: no row of the source is in it. */
  readonly isSeed?: boolean
  /** The bytes; can be asked for again. */
  content(): AsyncIterable<Buffer>
}

export type Disposition = "files" | "lines" | "vault" | "archive" | "unknown"

export interface TableReport {
  readonly table: string
  readonly rows: number
  readonly bytes: number
  /** What becomes of its rows. `unknown`: archived as it is, as nobody knows what it means. */
  readonly disposition: Disposition
  readonly target: string
}

export type HazardCode =
  | "duplicate-path"
  | "file-and-directory"
  | "encoded-name"
  | "case-twin"
  | "unicode-twin"
  | "unknown-role"
  | "mixed-dimensions"
  | "odd-vector"
  | "wrong-hash"
  | "not-enabled"
  | "undecryptable"
  | "expired"
  | "plaintext-credential"
  | "leaked-credential"
  | "unknown-table"
  | "missing-columns"
  | "wrong-nul"

/** What does not go over as it is, or deserves a look. */
export interface Hazard {
  readonly code: HazardCode
  readonly table: string
  /** Of the row, or what stands for it. */
  readonly id: string
  readonly detail: string
}

/** A secret of the source, in memory; `value` undefined: it can't be had, and `why` says so. */
export interface FoundSecret {
  readonly key: string
  readonly table: string
  /** In the vault. */
  readonly name: string
  readonly user: string
  readonly original: string
  /** Wiped by who took it over. */
  readonly value: Buffer | undefined
  readonly why?: string
  /** The row is a secret and nothing else: there is no file of it. */
  readonly isRow: boolean
  /** Milliseconds since 1970; 0: never. */
  readonly expires: number
  /** What else the source knows of it. */
  readonly about: Readonly<Record<string, string | number | undefined>>
}

export interface Source {
  /** Says which source it is, so that no ledger of another one is gone on with. */
  readonly identity: string
  /** For people. */
  readonly description: string
  tables(): Promise<readonly TableReport[]>
  items(): AsyncIterable<Item>
  hazards(): AsyncIterable<Hazard>
  secrets(): AsyncIterable<FoundSecret>
}
