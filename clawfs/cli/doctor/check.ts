/** One thing that the doctor has looked at. */
export type Level = "ok" | "warn" | "fail"

export interface Check {
  /** Short and stable: scripts look for it. */
  readonly id: string
  readonly level: Level
  /** One sentence: what is so, and what it means. */
  readonly message: string
  /** What to do about it. */
  readonly hint?: string
  /** The numbers behind the message. */
  readonly facts?: Readonly<Record<string, string | number | boolean | readonly string[]>>
}

type Facts = Check["facts"]

export function ok(id: string, message: string, facts?: Facts): Check {
  return { id, level: "ok", message, ...(facts === undefined ? {} : { facts }) }
}

export function bad(
  level: "warn" | "fail",
  id: string,
  { message, hint, facts }: { message: string; hint: string; facts?: Facts },
): Check {
  return { id, level, message, hint, ...(facts === undefined ? {} : { facts }) }
}
