/** OpenDocument texts, sheets and presentations (OASIS ODF 1.3): content.xml; what was deleted with tracking is left out. */
import type { TextKind } from "../document.ts"
import { extracted, Refused, type ExtractedDocument } from "./extraction.ts"
import type { Limits } from "./limits.ts"
import { xmlOf } from "./office.ts"
import { TextWriter } from "./text-writer.ts"
import { attribute, readXml, textOfElement, type XmlHandler } from "./xml.ts"
import { ZipReader } from "./zip.ts"

const KINDS = { odt: "markdown", ods: "data", odp: "markdown" } satisfies Record<string, TextKind>

export function readOdf(bytes: Buffer, limits: Limits, format: "odt" | "ods" | "odp"): ExtractedDocument {
  const zip = new ZipReader(bytes, limits)
  if (xmlOf(zip, "META-INF/manifest.xml").xml.includes("encryption-data"))
    throw new Refused("encrypted-document", "an OpenDocument file with a password")
  if (!zip.has("content.xml")) throw new Refused("broken", "an OpenDocument file without a content")
  const writer = new TextWriter(limits)
  const { xml, isWhole } = xmlOf(zip, "content.xml")
  readXml(xml, new ContentHandler(writer))
  const title = textOfElement(xmlOf(zip, "meta.xml").xml, "title")
  return extracted(format, KINDS[format], { title, text: writer.text, isWhole: isWhole && !writer.isFull })
}

class ContentHandler implements XmlHandler {
  readonly #writer: TextWriter
  /** Inside of what the document deleted. */
  #deleted = 0
  #blocks = 0
  #cells = 0

  constructor(writer: TextWriter) {
    this.#writer = writer
  }

  get isDone(): boolean {
    return this.#writer.isFull
  }

  open(name: string, attributes: string): void {
    if (name === "tracked-changes") this.#deleted += 1
    else if (name === "h" || name === "p") this.#open(name, attributes)
    else if (name === "s" || name === "tab") this.#writer.inline(" ")
    else if (name === "line-break") this.#writer.line()
    else if (name === "table-cell") this.#cells += 1
    else if (name === "table" || name === "page") this.#titled(attribute(attributes, "name"))
  }

  close(name: string): void {
    if (name === "tracked-changes") this.#deleted -= 1
    else if (name === "h" || name === "p") this.#close()
    else if (name === "table-cell") this.#cell()
    else if (name === "table-row") this.#writer.line()
    else if (name === "table") this.#writer.paragraph()
  }

  text(text: string): void {
    if (this.#blocks > 0 && this.#deleted === 0) this.#writer.inline(text)
  }

  #open(name: "h" | "p", attributes: string): void {
    this.#blocks += 1
    if (this.#cells > 0) return
    this.#writer.paragraph()
    const level = Math.min(6, Number(attribute(attributes, "outline-level")) || 1)
    if (name === "h" && this.#deleted === 0) this.#writer.inline(`${"#".repeat(level)} `)
  }

  #close(): void {
    this.#blocks = Math.max(0, this.#blocks - 1)
    if (this.#cells > 0) this.#writer.inline(" ")
    else this.#writer.paragraph()
  }

  #cell(): void {
    this.#cells = Math.max(0, this.#cells - 1)
    this.#writer.cell()
  }

  #titled(name: string): void {
    this.#writer.paragraph()
    if (name === "") return
    this.#writer.inline(`# ${name}`)
    this.#writer.line()
  }
}
