/** Books (EPUB 3.3): the chapters in the order of the spine, each read as a web page. */
import { decodeNamed } from "./charset.ts"
import { extracted, Refused, type ExtractedDocument } from "./extraction.ts"
import { stripHtml } from "./html.ts"
import type { Limits } from "./limits.ts"
import { resolveEntry, unescaped, xmlOf } from "./office.ts"
import { TextWriter } from "./text-writer.ts"
import { attribute, readXml, textOfElement } from "./xml.ts"
import { ZipReader } from "./zip.ts"

export function readEpub(bytes: Buffer, limits: Limits): ExtractedDocument {
  const zip = new ZipReader(bytes, limits)
  // Fonts may be obfuscated in any book; chapters that are encrypted are so by W3C's algorithms.
  if (
    /EncryptionMethod[^>]{0,200}xmlenc#(?:aes|tripledes|kw)/.test(xmlOf(zip, "META-INF/encryption.xml").xml)
  )
    throw new Refused("encrypted-document", "a book with copy protection")
  const packageName = packageOf(zip)
  const opf = xmlOf(zip, packageName)
  if (opf.xml === "") throw new Refused("broken", "a book without a list of its chapters")
  const chapters = chaptersOf(opf.xml).map((target) => resolveEntry(packageName, unescaped(target)))
  const writer = new TextWriter(limits)
  let isWhole = opf.isWhole && chapters.length <= limits.maxPages
  for (const chapter of chapters.slice(0, limits.maxPages)) {
    const entry = zip.read(chapter)
    isWhole &&= entry?.isWhole === true
    if (entry !== undefined) stripHtml(decodeNamed(entry.bytes, ""), writer)
    writer.paragraph()
    if (writer.isFull) break
  }
  return extracted("epub", "markdown", {
    title: textOfElement(opf.xml, "title"),
    text: writer.text,
    isWhole: isWhole && !writer.isFull,
  })
}

const nothing = (): void => undefined

function packageOf(zip: ZipReader): string {
  let path = ""
  readXml(xmlOf(zip, "META-INF/container.xml").xml, {
    open: (name, attributes) => {
      if (name === "rootfile" && path === "") path = unescaped(attribute(attributes, "full-path"))
    },
    close: nothing,
    text: nothing,
  })
  return path
}

/** Each once, whatever the spine says. */
function chaptersOf(opf: string): string[] {
  const items = new Map<string, string>()
  const chapters = new Set<string>()
  readXml(opf, {
    open: (name, attributes) => {
      if (name === "item") items.set(attribute(attributes, "id"), attribute(attributes, "href"))
      const target = name === "itemref" ? items.get(attribute(attributes, "idref")) : undefined
      if (target !== undefined) chapters.add(target)
    },
    close: nothing,
    text: nothing,
  })
  return [...chapters]
}
