/**
 * Reads test/golden/*.hex: bytes that must never change, written down field by field. The format is explained at the top
 * of fuse.hex.
 */
import { readFileSync } from "node:fs"

export interface GoldenField {
  /** "-" for padding and unused bytes. */
  readonly name: string
  readonly offset: number
  readonly size: number
}

export interface Golden {
  readonly title: string
  readonly bytes: Buffer
  readonly fields: readonly GoldenField[]
}

const byte = /^[0-9a-f]{2}$/

/** All sections of one file by their titles, in order. */
export function readGolden(name: string): Map<string, Golden> {
  const text = readFileSync(new URL(`../../golden/${name}`, import.meta.url), "utf8")
  const sections = new Map<string, Golden>()
  for (const part of text.split(/^== /m).slice(1)) {
    const [title = "", ...lines] = part.split("\n")
    sections.set(title, parseSection(title, lines, sections))
  }
  return sections
}

/** One section, which must exist. */
export function section(sections: ReadonlyMap<string, Golden>, title: string): Golden {
  const found = sections.get(title)
  if (found === undefined) throw new Error(`no golden bytes "${title}"`)
  return found
}

function parseSection(title: string, lines: readonly string[], known: ReadonlyMap<string, Golden>): Golden {
  const chunks: Buffer[] = []
  const fields: GoldenField[] = []
  let offset = 0
  const append = (bytes: Buffer, added: readonly GoldenField[]): void => {
    chunks.push(bytes)
    fields.push(...added)
    offset += bytes.length
  }
  for (const line of lines) {
    const words = line.trim().split(/\s+/).filter(Boolean)
    const [first = "#", other = "", , prefix = ""] = words
    if (first.startsWith("#")) continue
    if (first === "@") {
      const { bytes, fields: inner } = section(known, other)
      append(
        bytes,
        inner.map((field) => ({
          ...field,
          name: field.name === "-" ? "-" : `${prefix}.${field.name}`,
          offset: field.offset + offset,
        })),
      )
      continue
    }
    const count = words.findIndex((word) => !byte.test(word))
    const bytes = Buffer.from(words.slice(0, count).join(""), "hex")
    append(bytes, [{ name: words[count] ?? "-", offset, size: bytes.length }])
  }
  return { title, bytes: Buffer.concat(chunks), fields }
}
