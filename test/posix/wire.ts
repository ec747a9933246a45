/** What the suite and its agents say to each other, as JSON in messages of one packet each. */

export interface Credentials {
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
}

/** An agent's only command line argument. */
export interface Orders extends Credentials {
  /** the process whose mount namespace to enter; without it the agent stays where it is */
  readonly namespaceOf?: number
}

/** One argument of a system call. A number may be a raw pointer, a string is a C string of Latin-1 bytes. */
export type Argument =
  | number
  | string
  | { readonly big: string }
  /** base64, for the kernel to read */
  | { readonly bytes: string }
  | { readonly fill: readonly [byte: number, length: number] }
  /** base64, and back as it is after the call */
  | { readonly inout: string }
  /** this many bytes, returned whole */
  | { readonly out: number }
  /** this many bytes, returned up to the result of the call */
  | { readonly read: number }

export type Request = readonly [number: number, ...args: Argument[]]

export interface Reply {
  readonly rc: number
  readonly errno: number
  /** base64, one for each `inout`, `out` and `read` */
  readonly out: readonly string[]
}

/** The descriptor that an agent is born with. */
export const SOCKET = 3
export const MESSAGE_BYTES = 256 << 10
