/** Good files: what is read of each format, whatever it is called. */
import { afterAll, describe, expect, test } from "vitest"
import { documentIn, extract, extractor } from "../support/extractor.ts"
import * as samples from "../support/samples.ts"

const shared = extractor()
afterAll(() => shared[Symbol.asyncDispose]())

const containers = [
  ["docx", samples.docx(), samples.docxText, "The second supplier"],
  ["xlsx", samples.xlsx(), samples.xlsxText, "The second supplier"],
  ["pptx", samples.pptx(), samples.pptxText, "The second supplier"],
  ["odt", samples.odt(), samples.odtText, "The second supplier"],
  ["ods", samples.ods(), samples.odsText, "The second supplier"],
  ["odp", samples.odp(), samples.odpText, "The second supplier"],
  ["epub", samples.epub(), samples.epubText, "The second supplier"],
  ["pdf", samples.samplePdf(), samples.pdfText, "The second supplier"],
  ["html", samples.html(), samples.htmlText, 'The second "supplier"'],
  ["mail", samples.mail(), samples.mailText, "The second suppliér"],
] as const

describe("containers", () => {
  test.each(containers)("%s, by its content alone", async (format, bytes, text, title) => {
    for (const name of [`file.${format}`, "file", "file.txt"]) {
      const document = await extract(shared, name, bytes)
      expect(document).toMatchObject({ extractor: format, text, title, isVerbatim: false, isWhole: true })
    }
  })

  test("a page in the encoding that it names", async () => {
    const page = Buffer.from(
      '<html><meta charset="windows-1251"><p>\xcf\xf0\xe8\xe2\xe5\xf2</html>',
      "latin1",
    )
    expect(await extract(shared, "a.html", page)).toMatchObject({ text: "Привет\n" })
  })

  test("a page in UTF-16", async () => {
    const page = Buffer.from("\ufeff<html><title>Größe</title><p>schön</html>", "utf16le")
    expect(await extract(shared, "a.html", page)).toMatchObject({ text: "schön\n", title: "Größe" })
  })

  test("a message that is only a page", async () => {
    const message = "From: a\r\nTo: b\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n<p>Hello <b>you</b></p>"
    expect(await extract(shared, "a.eml", Buffer.from(message))).toMatchObject({
      text: "Subject: x\nFrom: a\nTo: b\n\nHello you\n",
    })
  })
})

describe("plain texts", () => {
  test.each([
    ["a.txt", "Some text.\n", "prose", "text", ""],
    ["a", "Some text.\n", "prose", "text", ""],
    ["README", "# Title\n", "markdown", "markdown", ""],
    ["a.md", "text\n\n# A #hash title #\n", "markdown", "markdown", ""],
    ["a.ts", "export const a = 1\n", "code", "code", "typescript"],
    ["a.h", "int a;\n", "code", "code", "c"],
    ["Makefile", "all:\n", "code", "code", "make"],
    ["run", "#!/usr/bin/env -S python3.11 -u\nprint(1)\n", "code", "code", "python"],
    ["run.txt", "#!/bin/sh\n", "code", "code", "bash"],
    ["a.json", '{"a": 1}\n', "data", "json", ""],
    ["a", '{\n  "a": 1\n}\n', "data", "json", ""],
    ["a", '{"a": 1}\n{"a": 2}\n', "data", "jsonl", ""],
    ["a.jsonl", '{"a": 1}\n', "data", "jsonl", ""],
    ["a.csv", "a,b\n1,2\n", "data", "csv", ""],
    ["a.svg", '<svg xmlns="x"/>\n', "code", "code", "xml"],
    ["a.js", 'const page = "<!DOCTYPE html><html>"\n', "code", "code", "javascript"],
    ["constructor", "text\n", "prose", "text", ""],
    ["a.constructor", "text\n", "prose", "text", ""],
    ["a.html", "no tags here\n", "prose", "text", ""],
    ["a.eml", "no header here\n", "prose", "text", ""],
  ] as const)("%s: %j", async (name, text, kind, by, language) => {
    const document = await extract(shared, name, Buffer.from(text))
    expect(document).toMatchObject({ kind, extractor: by, language, text, isVerbatim: true, isWhole: true })
  })

  test.each([
    ["# The title #\ntext", "The title"],
    ["---\ntitle: 'Of the matter'\n---\n# Heading", "Of the matter"],
    ["---\nno: title\n---\n# Heading", "Heading"],
    ["Underlined\n=====\n# Later", "Underlined"],
    ["text\n## Second level", ""],
    ["# C#", "C#"],
  ])("the title of %j is %j", async (text, title) => {
    expect(await extract(shared, "a.md", Buffer.from(text))).toMatchObject({ title })
  })

  test("no process is started for them", async () => {
    await using own = extractor()
    documentIn(await extract(own, "a.md", Buffer.from("# Text\n")))
    expect(own.pid).toBeUndefined()
  })

  test("line ends and blanks are those of the file", async () => {
    const text = "a\r\n\r\n\tb  \r\nc\rd"
    expect(await extract(shared, "a.txt", Buffer.from(text))).toMatchObject({ text })
  })
})

describe("what is no text", () => {
  test.each([
    ["a PNG image", "\x89PNG\r\n\x1a\n\0\0", "binary"],
    ["a program", "\x7fELF\x02\x01\x01", "binary"],
    ["gzip-compressed", "\x1f\x8b\x08\0", "binary"],
    ["an office document of a format before 2007", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "binary"],
    [
      "an office document with a password",
      `\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1${"EncryptedPackage".split("").join("\0")}\0`,
      "encrypted-document",
    ],
    ["encrypted by age", "age-encryption.org/v1\n", "encrypted-document"],
  ])("%s", async (reason, start, state) => {
    const bytes = Buffer.concat([Buffer.from(start, "latin1"), Buffer.alloc(600, 7)])
    expect(await extract(shared, "a.txt", bytes)).toEqual({ state, reason })
  })

  test("an archive of anything", async () => {
    const bytes = samples.zip({ "a.txt": "text", "b.docx": samples.docx() })
    expect(await extract(shared, "a.zip", bytes)).toMatchObject({ state: "binary" })
  })

  test("documents with a password", async () => {
    const locked = samples.encryptedOdt()
    expect(await extract(shared, "a.odt", locked)).toMatchObject({ state: "encrypted-document" })
    const book = samples.zip({
      ...samples.epubParts(),
      "META-INF/encryption.xml":
        '<enc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>',
    })
    expect(await extract(shared, "a.epub", book)).toMatchObject({ state: "encrypted-document" })
    const flagged = samples.docx()
    // The general purpose flag of every entry of the directory (APPNOTE §4.4.4).
    for (let at = flagged.indexOf("PK\x01\x02"); at >= 0; at = flagged.indexOf("PK\x01\x02", at + 1))
      flagged.writeUInt16LE(1, at + 8)
    expect(await extract(shared, "a.docx", flagged)).toMatchObject({ state: "encrypted-document" })
    const encrypt =
      "/Encrypt<</Filter/Standard/V 2/R 3/Length 128/P -44/O<" +
      "41".repeat(32) +
      ">/U<" +
      "42".repeat(32) +
      ">>>/ID[<43><43>]"
    expect(await extract(shared, "a.pdf", samples.pdf([["secret"]], { trailer: encrypt }))).toMatchObject({
      state: "encrypted-document",
    })
  })
})
