/**
 * Text of a web page: scripts, styles and other machinery left out, blocks become lines, headings get Markdown's signs so
 * that splitting sees them. No tree and no recursion; time is linear in the page's length.
 */
import { decodeEntities } from "./entities.ts"
import { extracted, type ExtractedDocument } from "./extraction.ts"
import type { Limits } from "./limits.ts"
import { TextWriter } from "./text-writer.ts"
import { attribute, endOfTag } from "./xml.ts"

const set = (names: string): ReadonlySet<string> => new Set(names.split(" "))

/** Their content is text for the parser, but not for a reader. */
const RAW = set("script style textarea xmp iframe noembed noframes template svg math object canvas")
const PARAGRAPHS = set(
  "p div section article aside main header footer nav blockquote figure figcaption table ul ol dl form fieldset hr address pre details summary",
)
const LINES = set("br li dt dd tr caption option thead tbody tfoot legend")
const HEADING = /^h([1-6])$/

/** The page's text as Markdown-like lines, and its title. */
export function readHtml(html: string, limits: Limits): ExtractedDocument {
  const writer = new TextWriter(limits)
  const title = stripHtml(html, writer)
  return extracted("html", "markdown", { title, text: writer.text, isWhole: !writer.isFull })
}

/** Writes a page's text, and returns its title, "" when it has none. */
export function stripHtml(html: string, writer: TextWriter): string {
  const stripper = new Stripper(html, writer)
  stripper.run()
  return stripper.title
}

class Stripper {
  title = ""
  readonly #html: string
  readonly #writer: TextWriter
  #isInTitle = false
  #isPreformatted = false

  constructor(html: string, writer: TextWriter) {
    this.#html = html
    this.#writer = writer
  }

  run(): void {
    const html = this.#html
    let at = 0
    while (at < html.length && !this.#writer.isFull) {
      const tag = nextTag(html, at)
      if (tag > at) this.#text(html.slice(at, tag))
      if (tag >= html.length) return
      at = this.#markup(tag)
    }
  }

  #text(raw: string): void {
    const text = decodeEntities(raw)
    if (this.#isInTitle) this.title += text
    else if (this.#isPreformatted) this.#writer.verbatim(text)
    else this.#writer.inline(text)
  }

  #markup(at: number): number {
    const html = this.#html
    if (html.startsWith("<!--", at)) return behind(html, "-->", at + 4)
    if (html.startsWith("<![CDATA[", at)) return at + 9
    if (html.startsWith("<!", at) || html.startsWith("<?", at)) return behind(html, ">", at + 2)
    const end = endOfTag(html, at + 1)
    const isClosing = html.charAt(at + 1) === "/"
    const from = at + (isClosing ? 2 : 1)
    const name = nameAt(html, from, end)
    if (isClosing) this.#close(name)
    else {
      this.#open(name, html, from + name.length, end)
      if (RAW.has(name) && html.charAt(end - 1) !== "/") return closingTag(html, name, end + 1)
    }
    return end + 1
  }

  #open(name: string, html: string, from: number, end: number): void {
    if (name === "title" && this.title === "") this.#isInTitle = true
    if (name === "pre") this.#isPreformatted = true
    if (name === "img") this.#writer.inline(` ${attribute(html.slice(from, end), "alt")} `)
    this.#block(name)
    const level = HEADING.exec(name)?.[1]
    if (level !== undefined) {
      this.#writer.paragraph()
      this.#writer.inline(`${"#".repeat(Number(level))} `)
    }
    if (name === "td" || name === "th") this.#writer.nextCell()
    if (name === "li") this.#writer.inline("- ")
  }

  #close(name: string): void {
    if (name === "title") this.#isInTitle = false
    if (name === "pre") this.#isPreformatted = false
    if (name === "td" || name === "th") this.#writer.cell()
    this.#block(name)
    if (HEADING.test(name)) this.#writer.paragraph()
  }

  #block(name: string): void {
    if (PARAGRAPHS.has(name)) this.#writer.paragraph()
    else if (LINES.has(name)) this.#writer.line()
  }
}

/** The next `<` that starts a tag: one before a blank or digit is a character. */
function nextTag(html: string, from: number): number {
  for (let at = html.indexOf("<", from); at >= 0; at = html.indexOf("<", at + 1))
    if (/[a-zA-Z/!?]/.test(html.charAt(at + 1))) return at
  return html.length
}

function behind(html: string, what: string, from: number): number {
  const found = html.indexOf(what, from)
  return found < 0 ? html.length : found + what.length
}

function nameAt(html: string, from: number, end: number): string {
  let to = from
  while (to < end && /[a-zA-Z0-9:-]/.test(html.charAt(to))) to += 1
  return html.slice(from, to).toLowerCase()
}

/** The place of `</name`, from where it is read like all tags; the page's end when it is never closed. */
function closingTag(html: string, name: string, from: number): number {
  const pattern = new RegExp(`</${name}(?![a-zA-Z0-9:-])`, "gi")
  pattern.lastIndex = from
  return pattern.exec(html)?.index ?? html.length
}

/** The encoding that a page names in its first bytes, "" when it names none. */
export function declaredCharset(head: string): string {
  return (
    /<meta[^>]{0,200}charset\s*=\s*["']?([a-zA-Z0-9_:-]{1,40})/i
      .exec(head.slice(0, 2048))?.[1]
      ?.toLowerCase() ?? ""
  )
}
