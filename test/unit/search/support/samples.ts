/** One small file of each format, made here: what stands in it is known. */
import { strToU8, zipSync, type Zippable } from "fflate"

const XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'

/** A zip archive of texts, deflated unless told otherwise. */
export function zip(
  entries: Readonly<Record<string, string | Buffer>>,
  stored: readonly string[] = [],
): Buffer {
  const files: Zippable = {}
  for (const [name, content] of Object.entries(entries)) {
    const bytes = typeof content === "string" ? strToU8(content) : new Uint8Array(content)
    files[name] = [bytes, { level: stored.includes(name) ? 0 : 6 }]
  }
  return Buffer.from(zipSync(files))
}

const core = `${XML}<cp:coreProperties xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The second supplier</dc:title></cp:coreProperties>`

export const docxParts = (body: string): Record<string, string> => ({
  "[Content_Types].xml": `${XML}<Types/>`,
  "docProps/core.xml": core,
  "word/styles.xml": `${XML}<w:styles><w:style w:type="paragraph" w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style></w:styles>`,
  "word/document.xml": `${XML}<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>${body}</w:body></w:document>`,
  "word/footnotes.xml": `${XML}<w:footnotes><w:footnote><w:p><w:r><w:t>A note at the foot.</w:t></w:r></w:p></w:footnote></w:footnotes>`,
})

const paragraph = (text: string, style = ""): string =>
  `<w:p>${style === "" ? "" : `<w:pPr><w:pStyle w:val="${style}"/></w:pPr>`}<w:r><w:t xml:space="preserve">${text}</w:t></w:r></w:p>`

export const docxBody = [
  paragraph("Plan", "Heading1"),
  paragraph("Why we &amp; they chose"),
  paragraph("Suppliers", "berschrift2"),
  '<w:p><w:r><w:t>Split </w:t></w:r><w:r><w:t xml:space="preserve">run</w:t></w:r><w:r><w:tab/></w:r><w:r><w:t>s</w:t></w:r><w:r><w:delText>gone</w:delText></w:r></w:p>',
  `<w:tbl><w:tr><w:tc>${paragraph("Name")}</w:tc><w:tc>${paragraph("Price")}</w:tc></w:tr><w:tr><w:tc>${paragraph("Ada")}</w:tc><w:tc>${paragraph("12")}</w:tc></w:tr></w:tbl>`,
  "<mc:AlternateContent><mc:Choice><w:p><w:r><w:t>Once</w:t></w:r></w:p></mc:Choice><mc:Fallback><w:p><w:r><w:t>Twice</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent>",
].join("")

export const docx = (): Buffer => zip(docxParts(docxBody))
export const docxText =
  "# Plan\n\nWhy we & they chose\n\n## Suppliers\n\nSplit run s\n\nName\tPrice\nAda\t12\n\nOnce\n\nA note at the foot.\n"

export const xlsx = (): Buffer =>
  zip({
    "[Content_Types].xml": `${XML}<Types/>`,
    "docProps/core.xml": core,
    "xl/workbook.xml": `${XML}<workbook><sheets><sheet name="Prices" sheetId="1" r:id="rId7"/><sheet name="Notes" sheetId="2" r:id="rId8"/></sheets></workbook>`,
    "xl/_rels/workbook.xml.rels": `${XML}<Relationships><Relationship Id="rId7" Target="worksheets/sheet1.xml"/><Relationship Id="rId8" Target="/xl/worksheets/sheet2.xml"/></Relationships>`,
    "xl/styles.xml": `${XML}<styleSheet><numFmts><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/></numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="22"/></cellXfs></styleSheet>`,
    "xl/sharedStrings.xml": `${XML}<sst><si><t>Supplier</t></si><si><r><t>Pri</t></r><r><t>ce</t></r><rPh><t>hint</t></rPh></si><si><t>Ada</t></si></sst>`,
    "xl/worksheets/sheet1.xml": `${XML}<worksheet><sheetData><row><c t="s"><v>0</v></c><c t="s"><v>1</v></c><c t="inlineStr"><is><t>Since</t></is></c></row><row><c t="s"><v>2</v></c><c><v>12.5</v></c><c s="1"><v>45000</v></c><c s="2"><v>45000.5</v></c><c t="b"><v>1</v></c></row><row><c><v></v></c></row></sheetData></worksheet>`,
    "xl/worksheets/sheet2.xml": `${XML}<worksheet><sheetData><row><c t="str"><f>A1&amp;B1</f><v>a formula&apos;s result</v></c></row></sheetData></worksheet>`,
  })
export const xlsxText =
  "# Prices\nSupplier\tPrice\tSince\nAda\t12.5\t2023-03-15\t2023-03-15 12:00\tTRUE\n\n# Notes\na formula's result\n"

const slide = (title: string, ...lines: string[]): string =>
  `${XML}<p:sld><p:cSld><p:spTree><p:sp><p:nvSpPr><p:nvPr><p:ph type="title"/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>${title}</a:t></a:r></a:p></p:txBody></p:sp><p:sp><p:txBody>${lines.map((line) => `<a:p><a:r><a:t>${line}</a:t></a:r></a:p>`).join("")}</p:txBody></p:sp><p:sp><p:nvSpPr><p:nvPr><p:ph type="sldNum"/></p:nvPr></p:nvSpPr><p:txBody><a:p><a:r><a:t>7</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>`

export const pptx = (): Buffer =>
  zip({
    "[Content_Types].xml": `${XML}<Types/>`,
    "docProps/core.xml": core,
    "ppt/presentation.xml": `${XML}<p:presentation/>`,
    "ppt/slides/slide10.xml": slide("Last", "the end"),
    "ppt/slides/slide2.xml": slide("Why", "cheaper", "sooner"),
    "ppt/notesSlides/notesSlide2.xml": `${XML}<p:notes><p:sp><a:p><a:r><a:t>say it slowly</a:t></a:r></a:p></p:sp></p:notes>`,
  })
export const pptxText = "# Why\n\ncheaper\nsooner\n\nsay it slowly\n\n# Last\n\nthe end\n"

const odfMeta = `${XML}<office:document-meta><office:meta><dc:title>The second supplier</dc:title></office:meta></office:document-meta>`

function odf(kind: string, body: string, manifest = ""): Buffer {
  const content = `${XML}<office:document-content><office:body><office:${kind}>${body}</office:${kind}></office:body></office:document-content>`
  const type = kind === "spreadsheet" ? "spreadsheet" : kind
  return zip(
    {
      mimetype: `application/vnd.oasis.opendocument.${type}`,
      "content.xml": content,
      "meta.xml": odfMeta,
      "META-INF/manifest.xml": `${XML}<manifest:manifest>${manifest}</manifest:manifest>`,
    },
    ["mimetype"],
  )
}

const odtBody =
  '<text:tracked-changes><text:changed-region><text:deletion><text:p>gone</text:p></text:deletion></text:changed-region></text:tracked-changes><text:h text:outline-level="2">Suppliers</text:h><text:p>Why<text:s/>we <text:span>chose</text:span>.</text:p><text:list><text:list-item><text:p>cheaper</text:p></text:list-item></text:list>'
export const odt = (): Buffer => odf("text", odtBody)
export const odtText = "## Suppliers\n\nWhy we chose.\n\ncheaper\n"
export const encryptedOdt = (): Buffer => odf("text", odtBody, "<manifest:encryption-data/>")

export const ods = (): Buffer =>
  odf(
    "spreadsheet",
    '<table:table table:name="Prices"><table:table-row><table:table-cell><text:p>Supplier</text:p></table:table-cell><table:table-cell><text:p>Price</text:p></table:table-cell></table:table-row><table:table-row table:number-rows-repeated="1048576"><table:table-cell table:number-columns-repeated="16384"><text:p>Ada</text:p></table:table-cell><table:table-cell><text:p>12</text:p></table:table-cell></table:table-row></table:table>',
  )
export const odsText = "# Prices\nSupplier\tPrice\nAda\t12\n"

export const odp = (): Buffer =>
  odf(
    "presentation",
    '<draw:page draw:name="Why"><draw:frame><text:p>cheaper</text:p></draw:frame></draw:page>',
  )
export const odpText = "# Why\n\ncheaper\n"

export const epubParts = (): Record<string, string> => ({
  mimetype: "application/epub+zip",
  "META-INF/container.xml": `${XML}<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>`,
  "OPS/book.opf": `${XML}<package><metadata><dc:title>The second supplier</dc:title></metadata><manifest><item id="b" href="text/two.xhtml"/><item id="a" href="text/one%20a.xhtml"/></manifest><spine><itemref idref="a"/><itemref idref="b"/><itemref idref="a"/></spine></package>`,
  "OPS/text/one a.xhtml": `${XML}<html><head><title>x</title></head><body><h1>One</h1><p>It was winter.</p></body></html>`,
  "OPS/text/two.xhtml": `${XML}<html><body><h1>Two</h1><p>It was spring.</p></body></html>`,
})
export const epub = (): Buffer => zip(epubParts(), ["mimetype"])
export const epubText = "# One\n\nIt was winter.\n\n# Two\n\nIt was spring.\n"

/** A PDF of so many pages, each with its lines; `trailer` and `objects` are added as they are. */
export function pdf(
  pages: readonly (readonly string[])[],
  rest: { title?: string; objects?: string; trailer?: string } = {},
): Buffer {
  const ids = pages.map((_, i) => 10 + 2 * i)
  const bodies = pages.map((lines, i) => {
    const shown = lines.map((line) => `(${line.replace(/[()\\]/g, "\\$&")}) Tj 0 -14 Td`).join(" ")
    const stream = `BT /F1 12 Tf 72 700 Td ${shown} ET`
    const id = ids[i] ?? 0
    return `${id} 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents ${id + 1} 0 R/Resources<</Font<</F1 3 0 R>>>>>>endobj\n${id + 1} 0 obj<</Length ${stream.length}>>stream\n${stream}\nendstream endobj\n`
  })
  return Buffer.from(
    `%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[${ids.map((id) => `${id} 0 R`).join(" ")}]/Count ${ids.length}>>endobj\n3 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n4 0 obj<</Title(${rest.title ?? ""})>>endobj\n${bodies.join("")}${rest.objects ?? ""}trailer<</Root 1 0 R/Info 4 0 R${rest.trailer ?? ""}>>\n`,
    "latin1",
  )
}
export const samplePdf = (): Buffer =>
  pdf([["The second supplier was cho-", "sen (at last)."], ["Page two."]], { title: "The second supplier" })
export const pdfText = "The second supplier was chosen (at last).\n\nPage two.\n"

export const html = (): Buffer =>
  Buffer.from(
    '<!DOCTYPE html><html><head><meta charset="utf-8"><title>The second &quot;supplier&quot;</title><style>p { color: red }</style><script>var hidden = "<p>no</p>"</script></head>' +
      "<body><!-- not this --><h1>Plan</h1><p>Caf&eacute; &amp; bar &#8212; one<br>two<p title='a > b'>3 < 4 <b>bo</b>ld<ul><li>first<li>second</ul>" +
      "<table><tr><th>Name<th>Price<tr><td>Ada</td><td>12</td></tr></table><pre>  keep\n   this</pre><svg><text>no</text></svg><img src=x alt='a picture'><noscript>text</noscript></body></html>",
  )
export const htmlText =
  "# Plan\n\nCafé & bar — one\ntwo\n\n3 < 4 bold\n\n- first\n- second\n\nName\tPrice\nAda\t12\n\n  keep\n   this\n\na picture text\n"

export const mail = (): Buffer =>
  Buffer.from(
    [
      "Received: from somewhere",
      "From: =?iso-8859-1?Q?J=FCrgen?= <j@example.org>",
      "To: a@example.org,",
      "\tb@example.org",
      "Subject: =?utf-8?B?VGhlIHNlY29uZA==?= =?utf-8?Q?_suppli=C3=A9r?=",
      "Date: Fri, 21 Nov 2025 10:00:00 +0000",
      "MIME-Version: 1.0",
      'Content-Type: multipart/mixed; boundary="outer"',
      "",
      "This is not shown.",
      "--outer",
      "Content-Type: multipart/alternative; boundary=inner",
      "",
      "--inner",
      "Content-Type: text/plain; charset=windows-1252",
      "Content-Transfer-Encoding: quoted-printable",
      "",
      "We chose the caf=E9, be=",
      "cause it is =80 5.",
      "--inner",
      "Content-Type: text/html",
      "",
      "<p>not shown either</p>",
      "--inner--",
      "--outer",
      "Content-Type: application/pdf",
      "Content-Disposition: attachment; filename*=utf-8''pr%C3%A9cis.pdf",
      "Content-Transfer-Encoding: base64",
      "",
      "JVBERi0xLjQ=",
      "--outer--",
      "",
    ].join("\r\n"),
    "latin1",
  )
export const mailText =
  "Subject: The second suppliér\nFrom: Jürgen <j@example.org>\nTo: a@example.org, b@example.org\nDate: Fri, 21 Nov 2025 10:00:00 +0000\n\nWe chose the café, because it is € 5.\n\nAttachment: précis.pdf\n"
