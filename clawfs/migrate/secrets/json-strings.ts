/** Finds strings in JSON text by where they stand, without building what it describes, however deep that is. */

export interface JsonString {
  /** Names and numbers on the way to it. */
  readonly path: readonly string[]
  /** In the text, quotes included. */
  readonly start: number
  readonly end: number
  readonly value: string
}

interface Level {
  readonly isArray: boolean
  key: string
  index: number
}

const STRING = /"(?:[^"\\]|\\.)*"/sy

/** Strings that are values, in their order. `text` is valid JSON, as PostgreSQL gives it. */
export function* stringsIn(text: string): Generator<JsonString> {
  const levels: Level[] = []
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at]
    const level = levels.at(-1)
    if (character === "{" || character === "[") levels.push({ isArray: character === "[", key: "", index: 0 })
    else if (character === "}" || character === "]") levels.pop()
    else if (character === "," && level !== undefined) level.index += 1
    else if (character === '"') {
      const end = endOf(text, at)
      const value = JSON.parse(text.slice(at, end)) as string
      if (level !== undefined && !level.isArray && isKey(text, end)) level.key = value
      else yield { path: levels.map(partOf), start: at, end, value }
      at = end - 1
    }
  }
}

const partOf = ({ isArray, key, index }: Level): string => (isArray ? String(index) : key)

function endOf(text: string, at: number): number {
  STRING.lastIndex = at
  return STRING.test(text) ? STRING.lastIndex : text.length
}

function isKey(text: string, end: number): boolean {
  let at = end
  while (text[at] === " " || text[at] === "\n" || text[at] === "\t" || text[at] === "\r") at += 1
  return text[at] === ":"
}

/** `text` with other strings in the places of some. */
export function replaced(text: string, changes: readonly (JsonString & { readonly by: string })[]): string {
  let from = 0
  const parts: string[] = []
  for (const { start, end, by } of changes) {
    parts.push(text.slice(from, start), JSON.stringify(by))
    from = end
  }
  return [...parts, text.slice(from)].join("")
}
