/** Files made to hurt. */
import { constants, deflateRawSync } from "node:zlib"

/** A raw deflate stream of `start` and then so many MiB of `fill`, of about a kilobyte each. */
export function bomb(start: string, mebibytes: number, fill = "\0"): Buffer {
  const flushed = { finishFlush: constants.Z_FULL_FLUSH }
  const block = deflateRawSync(Buffer.alloc(1 << 20, fill), flushed)
  return Buffer.concat([
    deflateRawSync(Buffer.from(start), flushed),
    ...Array.from({ length: mebibytes }, () => block),
    deflateRawSync(Buffer.alloc(0)),
  ])
}

export interface RawEntry {
  readonly name: string
  readonly data: Buffer
  /** 8: deflated */
  readonly method: number
  /** What the archive says that it is when inflated. */
  readonly declared: number
}

/** A zip archive that says of its entries what it is told to. Entries of the same data share it, as overlapping bombs do. */
export function rawZip(entries: readonly RawEntry[]): Buffer {
  const [body, directory]: [Buffer[], Buffer[]] = [[], []]
  const places = new Map<Buffer, number>()
  let at = 0
  for (const { name, data, method, declared } of entries) {
    const known = places.get(data)
    const headerAt = known ?? at
    if (known === undefined) {
      const local = Buffer.alloc(30)
      local.write("PK\x03\x04", "latin1")
      local.writeUInt16LE(method, 8)
      local.writeUInt32LE(data.length, 18)
      local.writeUInt32LE(declared >>> 0, 22)
      places.set(data, at)
      body.push(local, data)
      at += local.length + data.length
    }
    const entry = Buffer.alloc(46 + Buffer.byteLength(name))
    entry.write("PK\x01\x02", "latin1")
    entry.writeUInt16LE(method, 10)
    entry.writeUInt32LE(data.length, 20)
    entry.writeUInt32LE(declared >>> 0, 24)
    entry.writeUInt16LE(Buffer.byteLength(name), 28)
    entry.writeUInt32LE(headerAt, 42)
    entry.write(name, 46)
    directory.push(entry)
  }
  const list = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.write("PK\x05\x06", "latin1")
  end.writeUInt16LE(entries.length & 0xffff, 8)
  end.writeUInt16LE(entries.length & 0xffff, 10)
  end.writeUInt32LE(list.length, 12)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...body, list, end])
}

const stored = (name: string, text: string): RawEntry => ({
  name,
  data: Buffer.from(text),
  method: 0,
  declared: text.length,
})

/** A Word file whose document is that raw deflate stream. */
export function docxBomb(data: Buffer, declared: number): Buffer {
  return rawZip([
    stored("[Content_Types].xml", "<Types/>"),
    { name: "word/document.xml", data, method: 8, declared },
  ])
}

/** A PDF whose tables lead round in circles, by what circles. */
export const pdfLoops: Readonly<Record<string, string>> = {
  "a page tree that holds itself":
    "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[2 0 R 2 0 R]/Count 5>>endobj\ntrailer<</Root 1 0 R>>",
  "pages that are each other's parents":
    "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Parent 3 0 R/Kids[3 0 R]/Count 9>>endobj\n3 0 obj<</Type/Pages/Parent 2 0 R/Kids[2 0 R]/Count 9>>endobj\ntrailer<</Root 1 0 R>>",
  "a table that continues with itself":
    "%PDF-1.4\nxref\n0 1\n0000000000 65535 f \ntrailer<</Size 1/Prev 9/Root 1 0 R>>\nstartxref\n9\n%%EOF",
  "two tables that continue with each other":
    "%PDF-1.4\nxref\n0 1\n0000000000 65535 f \ntrailer<</Size 1/Prev 72/Root 1 0 R>>\nxref\n0 1\n0000000000 65535 f \ntrailer<</Size 1/Prev 9/Root 1 0 R>>\nstartxref\n72\n%%EOF",
  "objects that are references to themselves":
    "%PDF-1.4\n1 0 obj 1 0 R endobj\n2 0 obj 3 0 R endobj\n3 0 obj 2 0 R endobj\ntrailer<</Root 1 0 R/Info 2 0 R>>",
  "a form that draws itself":
    "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</XObject<</F 5 0 R>>>>>>endobj\n4 0 obj<</Length 5>>stream\n/F Do\nendstream endobj\n5 0 obj<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</F 5 0 R>>>>/Length 11>>stream\n/F Do /F Do\nendstream endobj\ntrailer<</Root 1 0 R>>",
  "a length that is the stream itself":
    "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/Contents 4 0 R>>endobj\n4 0 obj<</Length 4 0 R>>stream\nBT ET\nendstream endobj\ntrailer<</Root 1 0 R>>",
  "a thousand million pages":
    "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1000000000>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R>>endobj\ntrailer<</Root 1 0 R>>",
  "arrays in arrays": `%PDF-1.4\n1 0 obj${"[".repeat(200_000)}endobj\ntrailer<</Root 1 0 R>>`,
  "a stream inflated many times": `%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/Contents 4 0 R>>endobj\n4 0 obj<</Length 9/Filter[${"/ASCIIHexDecode ".repeat(50_000)}]>>stream\n414141>\nendstream endobj\ntrailer<</Root 1 0 R>>`,
}

/** Ten entities, each ten of the one before: 10^10 characters if anybody expands them. */
export const laughs = `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">${Array.from(
  { length: 10 },
  (_, i) => `<!ENTITY a${i + 1} "${`&a${i};`.repeat(10)}">`,
).join("")}]>`
