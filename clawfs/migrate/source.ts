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
  /** Changes when anything does that the file is made of; undefined: that is known only by reading it. */
  readonly fingerprint?: string | undefined
  /** No transaction has written any of its rows since the moment that the pass asks about. */
  readonly isSettled?: boolean
  /** What takes long to find out of the file, when it is written: in place of `mode` and `attributes`. */
  readonly details?: () => Promise<Pick<Item, "mode" | "attributes">>
  /** Made where there is nothing, and left alone from then on, as its owner changes it: no row of the source is in it. */
  readonly isSeed?: boolean
  /** The bytes; can be asked for again. */
  content(): AsyncIterable<Buffer>
}

/** How a source is gone through. */
export interface Pass {
  /** Most of it is known: long contents stay on the server until they are asked for. */
  readonly isLean: boolean
  /** Items get fingerprints. */
  readonly isTracked: boolean
  /** A moment of the server (`Opened.moment`): what was written later is told from what was not. */
  readonly since?: string | undefined
}

/** Everything is read. */
export const WHOLE: Pass = { isLean: false, isTracked: false }

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
  | "unknown-model"
  | "no-identity"
  | "wrong-hash"
  | "not-enabled"
  | "undecryptable"
  | "expired"
  | "plaintext-credential"
  | "leaked-credential"
  | "unknown-table"
  | "missing-columns"

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

/** What is nearest to one of the source's vectors, by cosine distance; vectors go by their place in the archive. */
export interface Ranking {
  readonly dimensions: number
  /** How many vectors of the dimension there are. */
  readonly rows: number
  readonly row: number
  /** The nearest first; the vector itself is one of them. */
  readonly neighbours: readonly number[]
}

export interface Source {
  /** Says which source it is, so that no ledger of another one is gone on with. */
  readonly identity: string
  /** For people. */
  readonly description: string
  tables(): Promise<readonly TableReport[]>
  /** `pass`: WHOLE unless given. */
  items(pass?: Pass): AsyncIterable<Item>
  hazards(): AsyncIterable<Hazard>
  secrets(): AsyncIterable<FoundSecret>
  /** Of up to `most` vectors; none where the source can't rank its vectors. */
  rankings(most: number): AsyncIterable<Ranking>
}
