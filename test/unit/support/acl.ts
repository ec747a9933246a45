/** ACLs as people write them: "u::rwx u:1000:r-x g::r-- m::rwx o::---". */
import { decodeAcl, encodeAcl } from "../../../clawfs/fs/acl.ts"

export type Entries = NonNullable<ReturnType<typeof decodeAcl>>

const TAGS: readonly [tag: number, letter: string][] = [
  [0x01, "u:"],
  [0x02, "u"],
  [0x04, "g:"],
  [0x08, "g"],
  [0x10, "m:"],
  [0x20, "o:"],
]
const NOBODY = 0xffff_ffff

export function parseAcl(text: string): Entries {
  return text.split(/[\s,]+/).map((word) => {
    const [letter = "", id = "", bits = ""] = word.split(":")
    const tag = TAGS.find(([, name]) => name === (id === "" ? `${letter[0] ?? ""}:` : letter[0]))?.[0] ?? 0
    const permissions = [..."rwx"].reduce((all, bit, i) => (bits.includes(bit) ? all | (4 >> i) : all), 0)
    return { tag, permissions, id: id === "" ? NOBODY : Number(id) }
  })
}

export function formatAcl(entries: Entries): string {
  return entries
    .map(({ tag, permissions, id }) => {
      const letter = TAGS.find(([number]) => number === tag)?.[1] ?? "?"
      const bits = [..."rwx"].map((bit, i) => ((permissions & (4 >> i)) === 0 ? "-" : bit)).join("")
      return letter.endsWith(":") ? `${letter}:${bits}` : `${letter}:${id}:${bits}`
    })
    .join(" ")
}

/** The value of the extended attribute. */
export function aclBytes(text: string): Buffer {
  return encodeAcl(parseAcl(text))
}
