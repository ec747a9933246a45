/**
 * Messages (RFC 5322, MIME: RFC 2045 to 2049, 2183, 2231): the header fields that people look for, the text, and the names of
 * what is attached. What is attached is not read. Parts are walked with a list, not by recursion.
 */
import { decodeNamed } from "./charset.ts"
import { extracted, type ExtractedDocument } from "./extraction.ts"
import { stripHtml } from "./html.ts"
import type { Limits } from "./limits.ts"
import {
  bodyOf,
  decodeWords,
  headersOf,
  mediaTypeOf,
  parameter,
  partsOf,
  type Headers,
  type Span,
} from "./mime.ts"
import { TextWriter } from "./text-writer.ts"

const SHOWN = ["Subject", "From", "To", "Cc", "Date"] as const
const MAX_DEPTH = 10

interface Leaf {
  readonly headers: Headers
  readonly body: Span
}

interface Leaves {
  readonly plain: readonly Leaf[]
  readonly html: readonly Leaf[]
  readonly attached: readonly string[]
  readonly isWhole: boolean
}

export function readMail(bytes: Buffer, limits: Limits): ExtractedDocument {
  // One character a byte: parts are decoded each in its own encoding.
  const message = bytes.toString("latin1")
  const head = headersOf(message, { start: 0, end: message.length })
  const writer = new TextWriter(limits)
  for (const name of SHOWN) {
    const value = decodeWords(head.headers.get(name.toLowerCase()) ?? "")
    if (value === "") continue
    writer.inline(`${name}: ${value}`)
    writer.line()
  }
  writer.paragraph()
  const leaves = leavesOf(message, head, limits)
  const texts = leaves.plain.map((leaf) => textOf(message, leaf))
  const hasPlain = texts.some((text) => text.trim() !== "")
  for (const text of hasPlain ? texts : []) {
    writer.verbatim(text.trimEnd())
    writer.paragraph()
  }
  for (const leaf of hasPlain ? [] : leaves.html) stripHtml(textOf(message, leaf), writer)
  writer.paragraph()
  for (const name of leaves.attached) {
    writer.inline(`Attachment: ${name}`)
    writer.line()
  }
  const title = decodeWords(head.headers.get("subject") ?? "")
  return extracted("mail", "mail", { title, text: writer.text, isWhole: leaves.isWhole && !writer.isFull })
}

function leavesOf(message: string, head: { headers: Headers; body: Span }, limits: Limits): Leaves {
  const [plain, html, attached]: [Leaf[], Leaf[], string[]] = [[], [], []]
  const open = [{ ...head, depth: 0 }]
  let count = 0
  for (let part = open.shift(); part !== undefined; part = open.shift()) {
    if (++count > limits.maxMailParts) return { plain, html, attached, isWhole: false }
    const { headers, body, depth } = part
    const type = mediaTypeOf(headers)
    const boundary = type.startsWith("multipart/")
      ? parameter(headers.get("content-type") ?? "", "boundary")
      : ""
    if (boundary !== "" && depth < MAX_DEPTH) {
      const inner = partsOf(message, body, boundary, limits.maxMailParts).map((span) =>
        headersOf(message, span),
      )
      open.unshift(...inner.map((child) => ({ ...child, depth: depth + 1 })))
    } else if (isAttached(headers, type)) attached.push(nameOf(headers, type))
    else if (type === "text/html") html.push({ headers, body })
    else plain.push({ headers, body })
  }
  return { plain, html, attached, isWhole: true }
}

function isAttached(headers: Headers, type: string): boolean {
  const disposition = (headers.get("content-disposition") ?? "").trimStart().toLowerCase()
  if (disposition.startsWith("attachment")) return true
  return type !== "text/plain" && type !== "text/html"
}

function nameOf(headers: Headers, type: string): string {
  const name =
    parameter(headers.get("content-disposition") ?? "", "filename") ||
    parameter(headers.get("content-type") ?? "", "name")
  return decodeWords(name).replace(/\s+/g, " ") || type
}

function textOf(message: string, { headers, body }: Leaf): string {
  const bytes = bodyOf(message, body, headers.get("content-transfer-encoding") ?? "")
  return decodeNamed(bytes, parameter(headers.get("content-type") ?? "", "charset").toLowerCase())
}
