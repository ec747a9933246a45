/** What the formats that are XML in a zip archive share. */
import { decodeNamed } from "./charset.ts"
import { textOfElement } from "./xml.ts"
import type { ZipReader } from "./zip.ts"

export interface XmlPart {
  /** "" when there is no such entry. */
  readonly xml: string
  readonly isWhole: boolean
}

/** An entry as text, in the encoding that its declaration names. */
export function xmlOf(zip: ZipReader, name: string): XmlPart {
  const entry = zip.read(name)
  if (entry === undefined) return { xml: "", isWhole: true }
  const head = entry.bytes.toString("latin1", 0, 200)
  const charset = /^<\?xml[^>]{0,100}encoding\s*=\s*["']([\w-]{1,40})/.exec(head)?.[1] ?? ""
  return { xml: decodeNamed(entry.bytes, charset), isWhole: entry.isWhole }
}

/** The title in a package's properties (ECMA-376 part 2 §11), "" when it has none. */
export function documentTitle(zip: ZipReader): string {
  return textOfElement(xmlOf(zip, "docProps/core.xml").xml, "title")
}

/** `target` of a relationship or a manifest, relative to the entry `base`, as an entry's name. */
export function resolveEntry(base: string, target: string): string {
  const path = target.split(/[?#]/, 1)[0] ?? ""
  const parts = path.startsWith("/") ? [] : base.split("/").slice(0, -1)
  for (const part of path.split("/")) {
    if (part === "..") parts.pop()
    else if (part !== "" && part !== ".") parts.push(part)
  }
  return parts.join("/")
}

/** An entry's name out of a URI, which has %20 for a blank. */
export function unescaped(uri: string): string {
  try {
    return decodeURIComponent(uri)
  } catch {
    // Not escaped properly: then it is the name itself.
    return uri
  }
}

/** Entries of that pattern, whose first group is their number, in its order. */
export function numbered(names: readonly string[], pattern: RegExp): string[] {
  return names
    .map((name) => ({ name, number: Number(pattern.exec(name)?.[1] ?? Number.NaN) }))
    .filter(({ number }) => !Number.isNaN(number))
    .sort((a, b) => a.number - b.number)
    .map(({ name }) => name)
}
