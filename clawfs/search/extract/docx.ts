/** Word documents (ECMA-376 part 1 §17): paragraphs, tables, notes and comments; headings by the styles' names. */
import { extracted, Refused, type ExtractedDocument } from "./extraction.ts"
import type { Limits } from "./limits.ts"
import { documentTitle, xmlOf } from "./office.ts"
import { TextWriter } from "./text-writer.ts"
import { attribute, readXml, type XmlHandler } from "./xml.ts"
import { ZipReader } from "./zip.ts"

/** Besides the document itself; read in this order. */
const EXTRAS = ["word/footnotes.xml", "word/endnotes.xml", "word/comments.xml"]

export function readDocx(bytes: Buffer, limits: Limits): ExtractedDocument {
  const zip = new ZipReader(bytes, limits)
  const writer = new TextWriter(limits)
  const main = zip.has("word/document.xml")
    ? "word/document.xml"
    : zip.names.find((name) => /^word\/document\d*\.xml$/.test(name))
  if (main === undefined) throw new Refused("broken", "a Word file without a document")
  const styles = headingStyles(xmlOf(zip, "word/styles.xml").xml)
  let isWhole = true
  for (const name of [main, ...EXTRAS]) {
    const part = xmlOf(zip, name)
    isWhole &&= part.isWhole
    if (part.xml !== "") readXml(part.xml, new DocumentHandler(writer, styles))
    writer.paragraph()
  }
  return extracted("docx", "markdown", {
    title: documentTitle(zip),
    text: writer.text,
    isWhole: isWhole && !writer.isFull,
  })
}

/** Style id → heading level. Ids are translated ("berschrift1"), names are not. */
function headingStyles(xml: string): Map<string, number> {
  const levels = new Map<string, number>()
  let id = ""
  readXml(xml, {
    open: (name, attributes) => {
      if (name === "style") id = attribute(attributes, "styleId")
      if (name !== "name") return
      const value = attribute(attributes, "val").toLowerCase()
      const level = value === "title" ? 1 : Number(/^heading ([1-6])$/.exec(value)?.[1] ?? 0)
      if (level > 0) levels.set(id, level)
    },
    close: () => undefined,
    text: () => undefined,
  })
  return levels
}

class DocumentHandler implements XmlHandler {
  readonly #writer: TextWriter
  readonly #styles: ReadonlyMap<string, number>
  #isText = false
  #tables = 0
  /** Inside of mc:Fallback, which repeats what stands before it. */
  #fallbacks = 0

  constructor(writer: TextWriter, styles: ReadonlyMap<string, number>) {
    this.#writer = writer
    this.#styles = styles
  }

  get isDone(): boolean {
    return this.#writer.isFull
  }

  open(name: string, attributes: string): void {
    if (name === "Fallback") this.#fallbacks += 1
    if (name === "t") this.#isText = this.#fallbacks === 0
    else if (name === "tab") this.#writer.inline(" ")
    else if (name === "br" || name === "cr") this.#writer.line()
    else if (name === "tbl") this.#table(1)
    else if (name === "pStyle") this.#heading(attribute(attributes, "val"))
  }

  close(name: string): void {
    if (name === "Fallback") this.#fallbacks -= 1
    if (name === "t") this.#isText = false
    else if (name === "p") this.#paragraph()
    else if (name === "tc") this.#writer.cell()
    else if (name === "tr") this.#writer.line()
    else if (name === "tbl") this.#table(-1)
  }

  text(text: string): void {
    if (this.#isText) this.#writer.inline(text)
  }

  #table(step: 1 | -1): void {
    this.#tables = Math.max(0, this.#tables + step)
    this.#writer.paragraph()
  }

  /** A cell's paragraphs stay in its row. */
  #paragraph(): void {
    if (this.#tables > 0) this.#writer.inline(" ")
    else this.#writer.paragraph()
  }

  #heading(style: string): void {
    const level = this.#styles.get(style) ?? Number(/^Heading([1-6])$/.exec(style)?.[1] ?? 0)
    if (level > 0 && this.#tables === 0) this.#writer.inline(`${"#".repeat(level)} `)
  }
}
