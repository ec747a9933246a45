/**
 * Text of PDF files through pdf.js (package unpdf), page after page. Runs in the extractor's process only: pdf.js is large,
 * takes its time, and loops on files that are made for it.
 */
import { describe } from "../../core/fault.ts"
import { extracted, Refused, type ExtractedDocument } from "./extraction.ts"
import type { Limits } from "./limits.ts"
import { TextWriter } from "./text-writer.ts"

type Document = Awaited<ReturnType<(typeof import("unpdf"))["getDocumentProxy"]>>
type Page = Awaited<ReturnType<Document["getPage"]>>

export async function readPdf(bytes: Buffer, limits: Limits): Promise<ExtractedDocument> {
  const { getDocumentProxy } = await import("unpdf")
  // pdf.js keeps the buffer that it is given.
  const document = await getDocumentProxy(new Uint8Array(bytes), {
    disableFontFace: true,
    useSystemFonts: false,
    isImageDecoderSupported: false,
    isOffscreenCanvasSupported: false,
    useWorkerFetch: false,
    maxImageSize: 1,
    verbosity: 0,
  }).catch((thrown: unknown) => {
    throw refusalOf(thrown)
  })
  try {
    return await readDocument(document, limits)
  } finally {
    await document.loadingTask.destroy()
  }
}

async function readDocument(document: Document, limits: Limits): Promise<ExtractedDocument> {
  const writer = new TextWriter(limits)
  const count = Math.min(document.numPages, limits.maxPages)
  const bad = await readPages(document, count, writer)
  if (bad === count && writer.text === "")
    throw new Refused("broken", "a PDF file none of whose pages can be read")
  const isWhole = bad === 0 && count === document.numPages && !writer.isFull
  return extracted("pdf", "prose", {
    title: await titleOf(document),
    text: joinHyphens(writer.text),
    isWhole,
  })
}

/** How many of the pages could not be read. */
async function readPages(document: Document, count: number, writer: TextWriter): Promise<number> {
  let bad = 0
  for (let number = 1; number <= count && !writer.isFull; number += 1) {
    try {
      const page = await document.getPage(number)
      await readPage(page, writer)
      page.cleanup()
    } catch {
      // A page that is broken does not take the others with it; the document says that it is not whole.
      bad += 1
    }
    writer.paragraph()
  }
  return bad
}

/** A step down by more than so many lines' heights starts a paragraph. */
const PARAGRAPH_GAP = 1.6

async function readPage(page: Page, writer: TextWriter): Promise<void> {
  const { items } = await page.getTextContent()
  let [lastY, lastHeight] = [Number.NaN, 0]
  for (const item of items) {
    if (!("str" in item)) continue
    const y = Number(item.transform[5])
    if (item.str.trim() !== "") {
      if (lastY - y > PARAGRAPH_GAP * Math.max(lastHeight, item.height) && lastHeight > 0) writer.paragraph()
      ;[lastY, lastHeight] = [y, item.height]
    }
    writer.inline(item.str)
    if (item.hasEOL) writer.line()
  }
}

async function titleOf(document: Document): Promise<string> {
  try {
    const { info } = await document.getMetadata()
    return "Title" in info && typeof info.Title === "string" ? info.Title : ""
  } catch {
    // Damaged metadata: a document without a title.
    return ""
  }
}

/** A word that was divided at the end of a line becomes one again, so that it is found. */
function joinHyphens(text: string): string {
  return text.replace(/(\p{Ll})[-\u2010\u00ad]\n(?=\p{Ll})/gu, "$1")
}

function refusalOf(thrown: unknown): Refused {
  const name = thrown instanceof Error ? thrown.name : ""
  return name === "PasswordException"
    ? new Refused("encrypted-document", "a PDF file with a password")
    : new Refused("broken", `not a readable PDF file: ${describe(thrown).slice(0, 100)}`)
}
