/** The rows and the goals of docs/design §9. A goal compares with a peer in the same run, or with a fixed number. */
import type { TargetName } from "./targets.ts"

export type Unit = "us/op" | "MiB/s" | "s" | "op/s" | "MB" | "x"

export interface Goal {
  /** The row's id; a trailing `*` stands for any ending. */
  readonly row: string
  /** `ratio` is ClawFS divided by the peer, `value` is ClawFS alone. */
  readonly against: TargetName | "value"
  readonly atMost?: number
  readonly atLeast?: number
}

export const goals: readonly Goal[] = [
  { row: "uncached.*", against: "passthrough", atMost: 0.6 },
  { row: "hot.*", against: "ext4", atMost: 3 },
  { row: "git.clone", against: "ext4", atMost: 1.5 },
  { row: "grep.*", against: "ext4", atMost: 1.5 },
  { row: "npm.*", against: "ext4", atMost: 1.5 },
  { row: "seq.write", against: "ext4", atLeast: 0.4 },
  { row: "seq.read.*", against: "ext4", atLeast: 0.7 },
  { row: "files.total", against: "agentfs", atLeast: 20 },
  { row: "files.sync.total", against: "agentfs", atLeast: 20 },
  { row: "memory.idle", against: "value", atMost: 120 },
  { row: "memory.million*", against: "value", atMost: 250 },
  { row: "growth.*.ratio", against: "value", atMost: 1.3 },
]

const matches = (pattern: string, row: string): boolean => {
  const [head = "", tail] = pattern.split("*")
  return tail === undefined ? row === head : row.startsWith(head) && row.endsWith(tail)
}

export const goalOf = (row: string): Goal | undefined => goals.find((goal) => matches(goal.row, row))

const units: readonly (readonly [string, Unit])[] = [
  ["growth.*.ratio", "x"],
  ["growth.*", "us/op"],
  ["uncached.*", "us/op"],
  ["hot.*", "us/op"],
  ["small.*", "us/op"],
  ["seq.*", "MiB/s"],
  ["files.*", "op/s"],
  ["memory.*", "MB"],
]

export const unitOf = (row: string): Unit => units.find(([pattern]) => matches(pattern, row))?.[1] ?? "s"
