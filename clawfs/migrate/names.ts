/**
 * What a source calls something, as names of files: reversible, and different for what is different. Percent signs stand for
 * what a name can't hold; the rest stays as it is, letter for letter.
 */
import { createHash } from "node:crypto"

const MOST_NAME_BYTES = 255
/** Of a name that is too long; what follows is "~" and 16 digits of its hash. */
const KEPT_BYTES = 180
/** The C library takes 4096 with the NUL; room for the mount point and what is put in front. */
export const MOST_PATH_BYTES = 3500

const FORBIDDEN = /[\u0000-\u001f\u007f\\%]/g
const EMPTY = "%00"

const escaped = (text: string): string =>
  [...Buffer.from(text)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("")

/** One name of a path. An empty one becomes `%00`, which no text of PostgreSQL holds. */
export function encodeName(name: string): string {
  if (name === "") return EMPTY
  if (name === "." || name === "..") return escaped(name)
  const plain = name.replace(FORBIDDEN, escaped).replace(/^ | $/g, "%20")
  return Buffer.byteLength(plain) <= MOST_NAME_BYTES ? plain : shortened(plain, name)
}

/** An identifier of a user or agent as one name. */
export function encodeId(id: string): string {
  return encodeName(id).replaceAll("/", "%2F")
}

/** A path of a source, with slashes between its names. */
export function encodePath(path: string): string[] {
  return path.split("/").map(encodeName)
}

/** What `encodeName` was given, unless that was too long for a name. */
export function decodeName(name: string): string {
  if (name === EMPTY) return ""
  return name.replace(/(?:%[0-9A-F]{2})+/g, (run) => Buffer.from(run.replaceAll("%", ""), "hex").toString())
}

/** `name` with `mark` behind it, still no longer than a name may be. */
export function marked(name: string, mark: string): string {
  const whole = `${name}~${mark}`
  return Buffer.byteLength(whole) <= MOST_NAME_BYTES ? whole : `${shortened(name, name)}~${mark}`
}

/** Sixteen hexadecimal digits that stand for a text. */
export function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16)
}

function shortened(plain: string, original: string): string {
  let kept = ""
  let bytes = 0
  for (const character of plain) {
    bytes += Buffer.byteLength(character)
    if (bytes > KEPT_BYTES) break
    kept += character
  }
  return `${kept}~${shortHash(original)}`
}
