/** Files made to hurt: each gives a text or a state, in bounded time and memory, and the next file is read as ever. */
import { ftruncateSync, openSync, closeSync, readFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, test, vi } from "vitest"
import { isRefusal, REFUSAL_STATES, type Extraction } from "../../../../clawfs/search/extract/extraction.ts"
import { DEFAULT_LIMITS } from "../../../../clawfs/search/extract/limits.ts"
import { fileSource, type ContentSource } from "../../../../clawfs/search/extract/source.ts"
import { Random, runs, seed } from "../../support/random.ts"
import { temporary } from "../../support/temporary.ts"
import { extract, extractor } from "../support/extractor.ts"
import { bomb, docxBomb, laughs, pdfLoops, rawZip } from "../support/hostile.ts"
import * as samples from "../support/samples.ts"

vi.setConfig({ testTimeout: 150_000 })
const shared = extractor()
afterAll(() => shared[Symbol.asyncDispose]())

function checkShape(extraction: Extraction): void {
  if (isRefusal(extraction)) {
    expect(REFUSAL_STATES).toContain(extraction.state)
    expect(extraction.reason).not.toBe("")
  } else {
    expect(extraction.text.length).toBeLessThanOrEqual(DEFAULT_LIMITS.maxOutputChars + 1)
    expect(Buffer.from(extraction.text).toString()).toBe(extraction.text)
  }
}

/** The next file is read as ever. */
async function checkNext(): Promise<void> {
  expect(await extract(shared, "a.docx", samples.docx())).toMatchObject({ text: samples.docxText })
}

/** The most memory that the extractor's process has had, MiB. */
function peakMib(): number {
  const status = readFileSync(`/proc/${shared.pid ?? 0}/status`, "utf8")
  return Number(/VmHWM:\s*(\d+) kB/.exec(status)?.[1]) / 1024
}

describe("zip bombs", () => {
  const start = `<w:p><w:r><w:t>Hello</w:t></w:r></w:p>`

  test.each([
    ["2 GiB of zeros", bomb(start, 2048), 2048 * (1 << 20)],
    ["that say they are small", bomb(start, 2048), 100],
    ["that say they are larger than anything", bomb(start, 100), 0xffff_ffff],
    ["of text", bomb("<w:p><w:r><w:t>", 1024, "a "), 1024 * (1 << 20)],
  ])("%s", async (_what, data, declared) => {
    const extraction = await extract(shared, "a.docx", docxBomb(data, declared))
    checkShape(extraction)
    expect(extraction).toMatchObject({ extractor: "docx", isWhole: false })
    expect(peakMib()).toBeLessThan(600)
    await checkNext()
  })

  test("one stream under a thousand names", async () => {
    const data = bomb(`<p:sld><a:p><a:r><a:t>Hello</a:t></a:r></a:p>`, 30)
    const slides = Array.from({ length: 1000 }, (_, i) => ({
      name: `ppt/slides/slide${i}.xml`,
      data,
      method: 8,
      declared: 1,
    }))
    const first = { name: "[Content_Types].xml", data: Buffer.from("<x/>"), method: 0, declared: 4 }
    const show = { name: "ppt/presentation.xml", data: Buffer.from("<y/>"), method: 0, declared: 4 }
    const extraction = await extract(shared, "a.pptx", rawZip([first, show, ...slides]))
    expect(extraction).toMatchObject({ extractor: "pptx", isWhole: false })
    await checkNext()
  })

  test("archives in archives are not followed", async () => {
    let bytes = samples.zip({ "zeros.txt": "0".repeat(100_000) })
    for (let depth = 0; depth < 6; depth += 1)
      bytes = samples.zip({ "a.zip": bytes, "b.zip": bytes, "c.zip": bytes })
    expect(await extract(shared, "42.zip", bytes)).toMatchObject({ state: "binary" })
    const word = samples.zip({
      ...samples.docxParts("<w:p><w:r><w:t>outer</w:t></w:r></w:p>"),
      "word/embeddings/a.docx": samples.docx(),
    })
    expect(await extract(shared, "a.docx", word)).toMatchObject({ text: "outer\n\nA note at the foot.\n" })
  })

  test("more entries than anybody needs", async () => {
    const data = Buffer.from("<x/>")
    const many = Array.from({ length: DEFAULT_LIMITS.maxZipEntries + 1 }, (_, i) => ({
      name: `${i}`,
      data,
      method: 0,
      declared: 4,
    }))
    expect(await extract(shared, "a.docx", rawZip(many))).toMatchObject({ state: "too-large" })
  })
})

describe("XML and HTML", () => {
  const depth = 100_000

  test.each([
    ["docx", () => samples.zip(samples.docxParts(`${"<w:p>".repeat(depth)}<w:r><w:t>deep</w:t></w:r>`))],
    [
      "docx",
      () =>
        samples.zip(
          samples.docxParts(`${"<w:tbl><w:tr><w:tc>".repeat(depth)}<w:p><w:r><w:t>deep</w:t></w:r></w:p>`),
        ),
    ],
    ["html", () => Buffer.from(`<html>${"<div><table><tr><td>".repeat(depth)}deep`)],
    ["html", () => Buffer.from(`<html>${"<ul><li>".repeat(depth)}deep${"</li></ul>".repeat(depth)}`)],
    ["mail", () => Buffer.from(`From: a\nTo: b\nSubject: deep\n${nested(3000)}`)],
  ] as const)("nested 100,000 deep: %s", async (format, make) => {
    const extraction = await extract(shared, `a.${format}`, make())
    expect(extraction).toMatchObject({ extractor: format })
    expect(isRefusal(extraction) ? "" : extraction.text).toContain("deep")
    await checkNext()
  })

  test("entities that a document declares are not expanded", async () => {
    const body = "<w:p><w:r><w:t>before &a10; after</w:t></w:r></w:p>"
    const parts = samples.docxParts("")
    const bytes = samples.zip({ ...parts, "word/document.xml": `${laughs}<w:document>${body}</w:document>` })
    expect(await extract(shared, "a.docx", bytes)).toMatchObject({
      text: "before &a10; after\n\nA note at the foot.\n",
    })
  })

  test.each([
    ["a tag that never ends", `<html><p>first<p ${"a='b' ".repeat(300_000)}`],
    ["a quote that never ends", `<html><p>first</p><a title="${"x>".repeat(300_000)}`],
    ["comments that never end", `<html><p>first</p>${"<!-- ".repeat(300_000)}`],
    ["scripts that never end", `<html><p>first</p>${"<script>".repeat(300_000)}`],
    ["nothing but brackets", `<html><p>first</p>${"<".repeat(600_000)}`],
    ["nothing but references", `<html><p>first</p>${"&#".repeat(300_000)}`],
    ["an attribute of nothing but letters", `<html><p>first</p><img ${"a".repeat(600_000)}>`],
    ["an attribute of nothing but blanks", `<html><p>first</p><img alt${" ".repeat(600_000)}>`],
    ["nothing but short words", `<html><p>first</p>${"a ".repeat(4_000_000)}`],
    ["nothing but blanks", `<html><p>first</p>${" ".repeat(8_000_000)}`],
    ["nothing but small tags", `<html><p>first</p>${"<p>a".repeat(500_000)}`],
    ["tags with half a quote", `<html><p>first</p>${`<img alt="`.repeat(60_000)}`],
  ])("%s", async (_what, page) => {
    const extraction = await extract(shared, "a.html", Buffer.from(page))
    expect(extraction).toMatchObject({ extractor: "html" })
    expect(isRefusal(extraction) ? "" : extraction.text).toContain("first")
  })

  test("a message of nothing but escapes", async () => {
    const body = `${"=41".repeat(1_500_000)}=\n${"= \t".repeat(100_000)}`
    const text = `From: a\nTo: b\nDate: c\nContent-Transfer-Encoding: quoted-printable\n\nfirst ${body}`
    const extraction = await extract(shared, "a.eml", Buffer.from(text))
    expect(isRefusal(extraction) ? "" : extraction.text).toContain("first AAAA")
  })

  test("a table of ten thousand million cells, by what it says of itself", async () => {
    expect(await extract(shared, "a.ods", samples.ods())).toMatchObject({ text: samples.odsText })
  })
})

/** A message of so many messages in each other. */
function nested(levels: number): string {
  let text = ""
  for (let i = 0; i < levels; i += 1) text += `Content-Type: multipart/mixed; boundary=b${i}\n\n--b${i}\n`
  return `${text}\ndeep`
}

describe("PDF", () => {
  test.each(Object.entries(pdfLoops))("%s", async (_what, text) => {
    checkShape(await extract(shared, "a.pdf", Buffer.from(text, "latin1")))
    await checkNext()
  })

  test("one broken page does not take the others with it", async () => {
    const bytes = samples.pdf([["first page"], ["second page"], ["third page"]])
    const broken = Buffer.from(
      bytes.toString("latin1").replace("12 0 obj<</Type/Page", "12 0 obj<</Type/Oops"),
      "latin1",
    )
    const extraction = await extract(shared, "a.pdf", broken)
    checkShape(extraction)
    expect(isRefusal(extraction) ? extraction.reason : extraction.text).toContain("first page")
  })
})

describe("size", () => {
  test("1 GiB of zeros is not read", async () => {
    using place = temporary()
    const fd = openSync(join(place.path, "zeros"), "w+")
    ftruncateSync(fd, 1 << 30)
    const { source, bytesRead } = counting(fileSource(fd))
    expect(await shared.extract("zeros", source)).toEqual({ state: "binary", reason: "no text" })
    expect(bytesRead()).toBeLessThanOrEqual(65_536)
    writeSync(fd, "%PDF-1.4\n", 0)
    expect(await shared.extract("zeros", source)).toMatchObject({ state: "too-large" })
    writeSync(fd, "PK\x03\x04\0\0\0\0", 0)
    expect(await shared.extract("zeros", source)).toMatchObject({ state: "broken" })
    expect(bytesRead()).toBeLessThan(1 << 20)
    closeSync(fd)
  })

  test("of a text of 1 GiB, 10 MiB are read, up to the end of a line", async () => {
    const line = "a line of text\n"
    const { source, bytesRead } = counting({
      size: 1 << 30,
      read: (position, length) => {
        const skipped = position % line.length
        return Buffer.from(line.repeat(Math.ceil((length + skipped) / line.length))).subarray(
          skipped,
          skipped + length,
        )
      },
    })
    const extraction = await shared.extract("a.log", source)
    expect(extraction).toMatchObject({ extractor: "text", isWhole: false, isVerbatim: true })
    const { text } = extraction as { text: string }
    expect(text.endsWith(line)).toBe(true)
    expect(text.length).toBeGreaterThan(DEFAULT_LIMITS.maxTextBytes - line.length)
    expect(bytesRead()).toBeLessThanOrEqual(DEFAULT_LIMITS.maxTextBytes + 65_536)
  })

  test("a page of more than 64 MiB is cut off", async () => {
    const start = "<html><p>first</p>"
    const source = {
      size: DEFAULT_LIMITS.maxContainerBytes + 1,
      read: (position: number, length: number) =>
        position === 0
          ? Buffer.concat([Buffer.from(start), Buffer.alloc(length - start.length, " ")])
          : Buffer.alloc(0),
    }
    expect(await shared.extract("a.html", source)).toMatchObject({ text: "first\n", isWhole: false })
  })

  test("a file that got shorter meanwhile", async () => {
    const source = {
      size: 100_000,
      read: (position: number) => Buffer.from(position === 0 ? "short text" : ""),
    }
    expect(await shared.extract("a.txt", source)).toMatchObject({ text: "short text" })
    const word = samples.docx()
    const cut = {
      size: word.length + 5000,
      read: (at: number, length: number) => word.subarray(at, at + length),
    }
    checkShape(await shared.extract("a.docx", cut))
  })
})

function counting(source: ContentSource): { source: ContentSource; bytesRead: () => number } {
  let count = 0
  const read = (position: number, length: number): Buffer => {
    const bytes = source.read(position, length)
    count += bytes.length
    return bytes
  }
  return { source: { size: source.size, read }, bytesRead: () => count }
}

const all = [
  ["a.docx", samples.docx()],
  ["a.xlsx", samples.xlsx()],
  ["a.pptx", samples.pptx()],
  ["a.odt", samples.odt()],
  ["a.ods", samples.ods()],
  ["a.epub", samples.epub()],
  ["a.pdf", samples.samplePdf()],
  ["a.html", samples.html()],
  ["a.eml", samples.mail()],
] as const

describe("damage", () => {
  test.each(all)("%s cut off at many lengths", async (name, bytes) => {
    const step = Math.max(1, Math.floor(bytes.length / runs(120)))
    for (let length = 0; length < bytes.length; length += step)
      checkShape(await extract(shared, name, bytes.subarray(0, length)))
    await checkNext()
  })

  test.each(all)("%s with bytes changed at random", async (name, bytes) => {
    const random = new Random(seed)
    for (let round = 0; round < runs(120); round += 1) {
      const damaged = Buffer.from(bytes)
      for (let i = 0; i <= random.below(6); i += 1) damaged[random.below(damaged.length)] = random.below(256)
      checkShape(await extract(shared, name, damaged))
    }
    await checkNext()
  })

  test("random bytes behind the starts of every format", async () => {
    const random = new Random(seed)
    const starts = [
      "",
      "%PDF-1.7\n",
      "PK\x03\x04",
      "<html>",
      "From: a\nTo: b\nDate: c\n\n",
      "\xff\xfe",
      "\xef\xbb\xbf",
      "{",
      "#!/bin/sh\n",
      "\xd0\xcf\x11\xe0",
    ]
    for (let round = 0; round < runs(200); round += 1) {
      const start = Buffer.from(starts[round % starts.length] ?? "", "latin1")
      checkShape(await extract(shared, "file", Buffer.concat([start, random.bytes(random.below(4000))])))
    }
    await checkNext()
  })

  test("in plain texts of every encoding", async () => {
    const random = new Random(seed)
    for (let round = 0; round < runs(300); round += 1) {
      const text = "Größe und 長さ der Straße\n".repeat(1 + random.below(40))
      const bytes = round % 2 === 0 ? Buffer.from(text) : Buffer.from(`\ufeff${text}`, "utf16le")
      for (let i = 0; i < random.below(20); i += 1) bytes[random.below(bytes.length)] = random.below(256)
      checkShape(
        await extract(shared, "a.txt", bytes.subarray(random.below(3), bytes.length - random.below(3))),
      )
    }
  })
})
