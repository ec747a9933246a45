/**
 * Excel workbooks (ECMA-376 part 1 §18): each sheet is a heading and rows of cells between tabs, as their values are stored
 * (a formula's last result). Dates, which are stored as days with a style, are written as dates.
 */
import { extracted, Refused, type ExtractedDocument } from "./extraction.ts"
import type { Limits } from "./limits.ts"
import { documentTitle, numbered, resolveEntry, xmlOf } from "./office.ts"
import { TextWriter } from "./text-writer.ts"
import { attribute, readXml, type XmlHandler } from "./xml.ts"
import { ZipReader } from "./zip.ts"

const WORKBOOK = "xl/workbook.xml"

export function readXlsx(bytes: Buffer, limits: Limits): ExtractedDocument {
  const zip = new ZipReader(bytes, limits)
  const writer = new TextWriter(limits)
  const strings = xmlOf(zip, "xl/sharedStrings.xml")
  const shared = sharedStrings(strings.xml)
  const dates = dateStyles(xmlOf(zip, "xl/styles.xml").xml)
  const sheets = sheetsOf(zip)
  if (sheets.length === 0) throw new Refused("broken", "a workbook without sheets")
  let isWhole = strings.isWhole && sheets.length <= limits.maxPages
  for (const { title, entry } of sheets.slice(0, limits.maxPages)) {
    const sheet = xmlOf(zip, entry)
    isWhole &&= sheet.isWhole
    writer.paragraph()
    writer.inline(`# ${title}`)
    writer.line()
    readXml(sheet.xml, new SheetHandler(writer, shared, dates))
    if (writer.isFull) break
  }
  return extracted("xlsx", "data", {
    title: documentTitle(zip),
    text: writer.text,
    isWhole: isWhole && !writer.isFull,
  })
}

interface Sheet {
  readonly title: string
  readonly entry: string
}

function sheetsOf(zip: ZipReader): Sheet[] {
  const targets = new Map<string, string>()
  const nothing = (): void => undefined
  readXml(xmlOf(zip, "xl/_rels/workbook.xml.rels").xml, {
    open: (name, attributes) => {
      if (name === "Relationship") targets.set(attribute(attributes, "Id"), attribute(attributes, "Target"))
    },
    close: nothing,
    text: nothing,
  })
  const sheets: Sheet[] = []
  readXml(xmlOf(zip, WORKBOOK).xml, {
    open: (name, attributes) => {
      const target = name === "sheet" ? targets.get(attribute(attributes, "id")) : undefined
      if (target !== undefined)
        sheets.push({ title: attribute(attributes, "name"), entry: resolveEntry(WORKBOOK, target) })
    },
    close: nothing,
    text: nothing,
  })
  if (sheets.length > 0) return sheets
  return numbered(zip.names, /^xl\/worksheets\/sheet(\d+)\.xml$/).map((entry, i) => ({
    title: `Sheet${i + 1}`,
    entry,
  }))
}

/** The table of strings that cells point into; phonetic hints left out. */
function sharedStrings(xml: string): string[] {
  const strings: string[] = []
  let [current, isText, isHint] = ["", false, false]
  readXml(xml, {
    open: (name) => {
      if (name === "si") current = ""
      if (name === "rPh") isHint = true
      if (name === "t") isText = !isHint
    },
    close: (name) => {
      if (name === "si") strings.push(current)
      if (name === "rPh") isHint = false
      if (name === "t") isText = false
    },
    text: (text) => {
      if (isText) current += text
    },
  })
  return strings
}

/** Numbers of the built-in formats that are dates (§18.8.30). */
const isBuiltInDate = (format: number): boolean => (format >= 14 && format <= 17) || format === 22

/** Which cell styles (by their place in cellXfs) show a date. */
function dateStyles(xml: string): ReadonlySet<number> {
  const custom = new Set<number>()
  const styles = new Set<number>()
  let [isCells, place] = [false, 0]
  readXml(xml, {
    open: (name, attributes) => {
      if (
        name === "numFmt" &&
        /[yd]/i.test(attribute(attributes, "formatCode").replace(/"[^"]*"|\[[^\]]*\]/g, ""))
      )
        custom.add(Number(attribute(attributes, "numFmtId")))
      if (name === "cellXfs") isCells = true
      if (name !== "xf" || !isCells) return
      const format = Number(attribute(attributes, "numFmtId"))
      if (isBuiltInDate(format) || custom.has(format)) styles.add(place)
      place += 1
    },
    close: (name) => {
      if (name === "cellXfs") isCells = false
    },
    text: () => undefined,
  })
  return styles
}

class SheetHandler implements XmlHandler {
  readonly #writer: TextWriter
  readonly #shared: readonly string[]
  readonly #dates: ReadonlySet<number>
  #row: string[] = []
  #value = ""
  #type = ""
  #style = 0
  #isValue = false

  constructor(writer: TextWriter, shared: readonly string[], dates: ReadonlySet<number>) {
    this.#writer = writer
    this.#shared = shared
    this.#dates = dates
  }

  get isDone(): boolean {
    return this.#writer.isFull
  }

  open(name: string, attributes: string): void {
    if (name === "row") this.#row = []
    else if (name === "v" || name === "t") this.#isValue = true
    else if (name === "c") {
      this.#value = ""
      this.#type = attribute(attributes, "t")
      this.#style = Number(attribute(attributes, "s"))
    }
  }

  close(name: string): void {
    if (name === "v" || name === "t") this.#isValue = false
    else if (name === "c") this.#row.push(this.#shown())
    else if (name === "row" && this.#row.some((cell) => cell !== "")) {
      this.#writer.verbatim(this.#row.join("\t"))
      this.#writer.line()
    }
  }

  text(text: string): void {
    if (this.#isValue) this.#value += text
  }

  #shown(): string {
    const value = this.#value
    if (this.#type === "s") return (this.#shared[Number(value)] ?? "").replace(/\s+/g, " ").trim()
    if (this.#type === "b") return value === "1" ? "TRUE" : "FALSE"
    if (this.#type === "" && this.#dates.has(this.#style)) return dateOf(Number(value)) ?? value
    return value.replace(/\s+/g, " ").trim()
  }
}

const DAY_MS = 86_400_000
/** Day 0 of Excel's calendar, which has a 29 February 1900: right from March 1900 on. */
const EPOCH_MS = Date.UTC(1899, 11, 30)
const LAST_DAY = 2_958_466

function dateOf(days: number): string | undefined {
  if (!(days >= 1 && days < LAST_DAY)) return undefined
  const iso = new Date(EPOCH_MS + Math.round(days * DAY_MS)).toISOString()
  return Number.isInteger(days) ? iso.slice(0, 10) : iso.slice(0, 16).replace("T", " ")
}
