/** Reads what runs in the extractor's process: one row for each format. */
import { describe } from "../../core/fault.ts"
import { decodeNamed } from "./charset.ts"
import type { ContainerFormat } from "./detect.ts"
import { readDocx } from "./docx.ts"
import { readEpub } from "./epub.ts"
import { Refused, refuse, type ExtractedDocument, type Extraction } from "./extraction.ts"
import { declaredCharset, readHtml } from "./html.ts"
import type { Limits } from "./limits.ts"
import { readMail } from "./mail.ts"
import { readOdf } from "./odf.ts"
import { readPdf } from "./pdf.ts"
import { readPptx } from "./pptx.ts"
import { readXlsx } from "./xlsx.ts"

type Read = (bytes: Buffer, limits: Limits) => ExtractedDocument | Promise<ExtractedDocument>

const CHARSET_WITHIN = 2048

const readers: Readonly<Record<ContainerFormat, Read>> = {
  pdf: readPdf,
  docx: readDocx,
  xlsx: readXlsx,
  pptx: readPptx,
  odt: (bytes, limits) => readOdf(bytes, limits, "odt"),
  ods: (bytes, limits) => readOdf(bytes, limits, "ods"),
  odp: (bytes, limits) => readOdf(bytes, limits, "odp"),
  epub: readEpub,
  html: (bytes, limits) =>
    readHtml(decodeNamed(bytes, declaredCharset(bytes.toString("latin1", 0, CHARSET_WITHIN))), limits),
  mail: readMail,
}

/**
 * The text of a container. Whatever the bytes are, it gives a text or a state; what it takes of time and memory is bounded
 * by the process it runs in.
 */
export async function readContainer(
  format: ContainerFormat,
  bytes: Buffer,
  limits: Limits,
): Promise<Extraction> {
  try {
    return await readers[format](bytes, limits)
  } catch (thrown) {
    if (thrown instanceof Refused) return thrown.refusal
    // Node's words for memory that is not there and strings above 512 MiB.
    const isTooMuch =
      thrown instanceof RangeError && /allocation failed|Invalid (array|string) length/.test(thrown.message)
    if (isTooMuch) return refuse("too-large", "it needs more memory than allowed")
    return refuse("broken", `not a readable ${format} file: ${describe(thrown).slice(0, 100)}`)
  }
}
