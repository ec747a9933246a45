/** What a kind of text says about itself: which lines are good to start a chunk with, and what stands above them. */
import { cutWhole } from "../extract/characters.ts"

/** How good it is to start a chunk with a line: the larger the better. */
export const Weight = {
  /** Only when there is nothing else. */
  POOR: 2,
  LINE: 10,
  ITEM: 13,
  BLANK: 20,
  PART: 30,
  /** A chunk that is long enough ends before it. */
  SECTION: 40,
} as const

export interface Outline {
  /** A `Weight` for each line. */
  readonly weights: Uint8Array
  /** Characters from which on a chunk ends before a section. */
  readonly minimum: number
  /** A chunk repeats the end of the one before. */
  readonly overlaps: boolean
  /** What stands above a line, "" for nothing. Asked for lines in ascending order. */
  headingAt(line: number): string
}

const NAME_CHARS = 80
const PATH_CHARS = 300

/** "Plan > Suppliers": bounded, on one line. */
export function pathOf(names: readonly string[]): string {
  const short = names.map((name) => cutWhole(name.replace(/\s+/g, " ").trim(), NAME_CHARS))
  return cutWhole(short.filter((name) => name !== "").join(" > "), PATH_CHARS)
}
