/** What a file is, from its first bytes and then its name. Reads at most a few ranges of it. */
import { Refused, type RefusalState } from "./extraction.ts"
import type { Limits } from "./limits.ts"
import { knownBinary } from "./magic.ts"
import { hintOf, shebangLanguage, type NameHint, type TextFormat } from "./names.ts"
import type { ContentSource } from "./source.ts"
import { readZipDirectory, type ZipEntry } from "./zip-directory.ts"

/** Formats whose reading runs in the extractor's process. */
export const CONTAINER_FORMATS = [
  "pdf",
  "docx",
  "xlsx",
  "pptx",
  "odt",
  "ods",
  "odp",
  "epub",
  "html",
  "mail",
] as const
export type ContainerFormat = (typeof CONTAINER_FORMATS)[number]

/** So much of a file's start is looked at; a file that is no longer is read once. */
const FIRST = 65_536
const HEAD = 4096
/** Readers look for a PDF's header that far. */
const PDF_HEADER_WITHIN = 1024

/** The start of a file, or all of a small one. */
export function firstOf(source: ContentSource): Buffer {
  return source.read(0, FIRST)
}

/**
 * The container format of a file, "text" for what must be decoded to be known, or `Refused` ("binary", "too-large",
 * "encrypted-document", "broken").
 */
export function detectBytes(source: ContentSource, head: Buffer, limits: Limits): ContainerFormat | "text" {
  if (head.subarray(0, PDF_HEADER_WITHIN).includes("%PDF-")) return "pdf"
  if (head.subarray(0, 4).equals(Buffer.from("PK\x03\x04"))) return detectZip(source, limits)
  if (head.subarray(0, 8).equals(OLE)) throw oleRefusal(source, head)
  const known = knownBinary(head)
  if (known !== undefined)
    throw new Refused(known.startsWith("encrypted") ? "encrypted-document" : "binary", known)
  return "text"
}

const OLE = Buffer.from([0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1])
const OLE_TAIL = 64 * 1024

/** An office file with a password is a compound file with a stream of that name; all others are formats before 2007. */
function oleRefusal(source: ContentSource, head: Buffer): Refused {
  const name = Buffer.from("EncryptedPackage", "utf16le")
  const tail = source.read(Math.max(0, source.size - OLE_TAIL), OLE_TAIL)
  const isEncrypted = head.includes(name) || source.read(0, OLE_TAIL).includes(name) || tail.includes(name)
  const [state, reason]: [RefusalState, string] = isEncrypted
    ? ["encrypted-document", "an office document with a password"]
    : ["binary", "an office document of a format before 2007"]
  return new Refused(state, reason)
}

/** Entry that only this format has → format. */
const OOXML: readonly (readonly [prefix: string, format: ContainerFormat])[] = [
  ["word/document", "docx"],
  ["xl/workbook", "xlsx"],
  ["ppt/presentation", "pptx"],
]

const MIMETYPES: Readonly<Record<string, ContainerFormat>> = {
  "application/epub+zip": "epub",
  "application/vnd.oasis.opendocument.text": "odt",
  "application/vnd.oasis.opendocument.text-template": "odt",
  "application/vnd.oasis.opendocument.spreadsheet": "ods",
  "application/vnd.oasis.opendocument.presentation": "odp",
}

function detectZip(source: ContentSource, limits: Limits): ContainerFormat {
  const entries = readZipDirectory(source, limits)
  const mimetype = MIMETYPES[mimetypeOf(source, entries)]
  if (mimetype !== undefined) return mimetype
  if (entries.has("META-INF/container.xml")) return "epub"
  const office = OOXML.find(([prefix]) => [...entries.keys()].some((name) => name.startsWith(prefix)))
  if (office !== undefined && entries.has("[Content_Types].xml")) return office[1]
  throw new Refused("binary", "an archive, which is not looked into")
}

/** ODF and EPUB store their type uncompressed as an entry of that name. */
function mimetypeOf(source: ContentSource, entries: ReadonlyMap<string, ZipEntry>): string {
  const entry = entries.get("mimetype")
  if (entry?.method !== 0) return ""
  const header = source.read(entry.headerAt, 30)
  if (header.length < 30) return ""
  const at = entry.headerAt + 30 + header.readUInt16LE(26) + header.readUInt16LE(28)
  return source.read(at, Math.min(entry.compressed, 100)).toString("latin1").trim()
}

/**
 * How a text is to be read: what it looks like, else what its name says.
 *
 * @param text its first characters.
 */
export function detectText(name: string, text: string): NameHint {
  const start = text.slice(0, HEAD)
  const shebang = shebangLanguage(start)
  if (shebang !== "") return { format: "code", language: shebang }
  const hint = hintOf(name)
  // Pages and messages are also found under other names; code that quotes them is not taken for one.
  if (hint === undefined || hint.format === "text" || hint.format === "html" || hint.format === "mail") {
    const seen = lookOf(start)
    if (seen !== undefined) return { format: seen, language: "" }
  }
  if (hint === undefined) return { format: dataFormat(start) ?? "text", language: "" }
  // A message without headers has no parts to look for, a page without tags nothing to strip.
  if (hint.format === "mail") return { format: "text", language: "" }
  if (hint.format === "html" && !start.includes("<")) return { format: "text", language: "" }
  if (hint.language === "xml" && /<html\b/i.test(start.slice(0, 1024)))
    return { format: "html", language: "" }
  return hint
}

function lookOf(start: string): TextFormat | undefined {
  const isHtml =
    /^\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:[^-]|-(?!->))*-->\s*)?<(?:!doctype\s+html|html|head|body)\b/i.test(
      start,
    )
  if (isHtml) return "html"
  return isMail(start) ? "mail" : undefined
}

const MAIL_FIELD =
  /^(?:from|to|subject|date|message-id|received|return-path|mime-version|delivered-to|content-type):/i
const FIELD = /^[!-9;-~]+:/

/** Starts with header fields, at least three of them those of mail. */
function isMail(start: string): boolean {
  let known = 0
  for (const line of start.split(/\r?\n/)) {
    if (line === "") break
    const isFolded = line.startsWith(" ") || line.startsWith("\t")
    // The last line may be cut off.
    if (!isFolded && !FIELD.test(line) && !start.endsWith(line)) return false
    if (MAIL_FIELD.test(line)) known += 1
  }
  return known >= 3
}

function dataFormat(start: string): TextFormat | undefined {
  if (!/^\s*(?:\{\s*["}]|\[\s*[[{"\]])/.test(start)) return undefined
  const [first = "", second = ""] = start.split(/\r?\n/, 2)
  const isLines = /^[{[].*[}\]]$/.test(first.trim()) && /^[{[]["[{]/.test(second.trim())
  return isLines ? "jsonl" : "json"
}
