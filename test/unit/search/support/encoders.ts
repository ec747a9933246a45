/** Text to bytes in the older encodings, by asking the decoder for every character that there is. */
import { TextDecoder } from "node:util"

const tables = new Map<string, ReadonlyMap<string, Buffer>>()

/** Every one- and two-byte sequence of an encoding, by its character; the first sequence counts. */
function tableOf(label: string): ReadonlyMap<string, Buffer> {
  const known = tables.get(label)
  if (known !== undefined) return known
  const table = new Map<string, Buffer>()
  const decoder = new TextDecoder(label)
  const learn = (bytes: Buffer): void => {
    const character = decoder.decode(bytes)
    if ([...character].length === 1 && character !== "\ufffd" && !table.has(character))
      table.set(character, bytes)
  }
  for (let one = 0; one < 256; one += 1) learn(Buffer.from([one]))
  for (let lead = 0x81; lead < 0xff; lead += 1)
    for (let trail = 0x40; trail < 0xff; trail += 1) learn(Buffer.from([lead, trail]))
  tables.set(label, table)
  return table
}

export function encode(text: string, label: string): Buffer {
  const table = tableOf(label)
  return Buffer.concat(
    [...text].map((character) => {
      const bytes = table.get(character)
      if (bytes === undefined) throw new Error(`${label} has no ${character}`)
      return bytes
    }),
  )
}
