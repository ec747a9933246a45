/** What the proxy asks the vault's process. */
import type { Place } from "../../schema/endpoint.ts"
import type { Subject } from "../audit.ts"
import type { LeakScanner } from "../leaks.ts"

export interface Wanted {
  readonly subject: Subject
  readonly provider?: string | undefined
  readonly host?: string | undefined
  readonly method: string
  readonly path: string
}

/** How a request is to be forwarded: everything but the value. */
export interface Plan {
  readonly grant: number
  readonly provider: string
  readonly host: string
  readonly port: number
  /** In front of the request's own; without a slash at its end. */
  readonly basePath: string
  /** The path behind it. */
  readonly path: string
  readonly place: Place
  readonly networks: readonly string[]
  readonly minVersion: "TLSv1.2" | "TLSv1.3"
  readonly ca?: string | undefined
  readonly requestBytes: number
  readonly responseBytes: number
  readonly timeoutMs: number
  /** Another number when other decoys are looked for; 0: there are none. */
  readonly decoys: number
}

/** A value that was given for one request; wiped by who took it. */
export interface Given {
  readonly value: Buffer
  /** Tells this value of this secret from every other. */
  readonly version: string
}

export interface VaultLink {
  /** Whose token it is; undefined: nobody's. */
  readonly uidOf: (token: string) => number | undefined
  /** Whether grants look at who asks that closely. */
  readonly asksInFull: () => boolean
  /** Throws `Fault("denied")` where no grant allows the request. */
  readonly plan: (wanted: Wanted) => Plan
  /** Writes the use down and gives the value. Throws "denied", "busy" where there were too many. */
  readonly use: (wanted: Wanted, grant: number, address: string) => Given
  /** Finds decoys; undefined where there are none. `known`: what the plan says of them, if there is a plan. */
  readonly decoys: (known?: number) => LeakScanner | undefined
  /** A request or its answer had decoys in it: who asked has no grants any more. */
  readonly tried: (wanted: Wanted, names: readonly string[], where: "request" | "answer") => void
  /** An answer had values in it. */
  readonly leaked: (wanted: Wanted, grant: number, count: number) => void
}
