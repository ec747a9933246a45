/** PowerPoint presentations (ECMA-376 part 1 §19): slides in the order of their numbers, with their titles and notes. */
import { extracted, Refused, type ExtractedDocument } from "./extraction.ts"
import type { Limits } from "./limits.ts"
import { documentTitle, numbered, xmlOf } from "./office.ts"
import { TextWriter } from "./text-writer.ts"
import { attribute, readXml, type XmlHandler } from "./xml.ts"
import { ZipReader } from "./zip.ts"

export function readPptx(bytes: Buffer, limits: Limits): ExtractedDocument {
  const zip = new ZipReader(bytes, limits)
  const writer = new TextWriter(limits)
  const slides = numbered(zip.names, /^ppt\/slides\/slide(\d+)\.xml$/)
  if (slides.length === 0) throw new Refused("broken", "a presentation without slides")
  let isWhole = slides.length <= limits.maxPages
  for (const slide of slides.slice(0, limits.maxPages)) {
    for (const name of [slide, slide.replace("/slides/slide", "/notesSlides/notesSlide")]) {
      const part = xmlOf(zip, name)
      isWhole &&= part.isWhole
      readXml(part.xml, new SlideHandler(writer))
      writer.paragraph()
    }
    if (writer.isFull) break
  }
  return extracted("pptx", "markdown", {
    title: documentTitle(zip),
    text: writer.text,
    isWhole: isWhole && !writer.isFull,
  })
}

class SlideHandler implements XmlHandler {
  readonly #writer: TextWriter
  #isText = false
  #isTitle = false
  #isNumber = false

  constructor(writer: TextWriter) {
    this.#writer = writer
  }

  get isDone(): boolean {
    return this.#writer.isFull
  }

  open(name: string, attributes: string): void {
    if (name === "t") this.#isText = true
    else if (name === "ph") this.#placeholder(attribute(attributes, "type"))
    else if (name === "sp") [this.#isTitle, this.#isNumber] = [false, false]
    else if (name === "br") this.#writer.inline(" ")
  }

  close(name: string): void {
    if (name === "t") this.#isText = false
    else if (name === "p") this.#end()
    else if (name === "tc") this.#writer.cell()
    else if (name === "tr" || name === "sp") this.#writer.paragraph()
  }

  text(text: string): void {
    if (!this.#isText || this.#isNumber) return
    if (this.#isTitle) this.#writer.inline("# ")
    this.#isTitle = false
    this.#writer.inline(text)
  }

  #placeholder(type: string): void {
    this.#isTitle = type === "title" || type === "ctrTitle"
    this.#isNumber = type === "sldNum" || type === "dt" || type === "ftr"
  }

  #end(): void {
    this.#writer.line()
  }
}
