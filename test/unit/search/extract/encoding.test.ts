/** Which encoding a text is taken for, and what is no text. */
import { describe, expect, test } from "vitest"
import { decode, isBinary } from "../../../../clawfs/search/extract/encoding.ts"
import { Random, runs, seed } from "../../support/random.ts"
import { encode } from "../support/encoders.ts"

const texts = {
  german:
    "Über die Größe des Gebäudes hätten wir früher sprechen müssen. Die Prüfung läuft, daß muß man wissen.\n",
  french:
    "Le fournisseur a été choisi parce que son offre était plus élevée, mais après l'hiver ça n'a guère gêné.\n",
  spanish:
    "El niño compró piñas en el jardín. ¿Cuándo volverá la señora? Mañana, quizás, según la televisión.\n",
  russian:
    "Мы выбрали второго поставщика, потому что он обещал привезти товар до начала зимы и не повышать цену.\n",
  polish:
    "Wybraliśmy drugiego dostawcę, ponieważ obiecał dostarczyć towar przed zimą. Żółć, łąka, święto, źródło.\n",
  czech:
    "Vybrali jsme druhého dodavatele, protože slíbil doručit zboží před zimou. Příliš žluťoučký kůň úpěl.\n",
  greek:
    "Επιλέξαμε τον δεύτερο προμηθευτή επειδή υποσχέθηκε να παραδώσει τα εμπορεύματα πριν από τον χειμώνα.\n",
  japanese:
    "私たちは二番目の業者を選びました。冬が来る前に品物を届けると約束してくれたからです。値段も変わりません。\n",
  chinese:
    "我们选择了第二个供应商，因为他答应在冬天到来之前把货物送到，而且价格不会上涨。这是一个很好的决定。\n",
  taiwanese:
    "我們選擇了第二個供應商，因為他答應在冬天到來之前把貨物送到，而且價格不會上漲。這是一個很好的決定。\n",
  korean:
    "우리는 두 번째 공급자를 선택했다. 겨울이 오기 전에 물건을 배달하겠다고 약속했기 때문이다. 가격도 그대로다.\n",
} as const

describe("a text in an older encoding", () => {
  test.each([
    ["german", "windows-1252", true],
    ["french", "windows-1252", true],
    ["spanish", "windows-1252", true],
    ["russian", "windows-1251", true],
    ["russian", "koi8-r", true],
    ["russian", "ibm866", true],
    ["polish", "windows-1250", true],
    ["polish", "iso-8859-2", true],
    ["czech", "windows-1250", true],
    ["czech", "iso-8859-2", true],
    ["greek", "windows-1253", true],
    ["japanese", "shift_jis", false],
    ["japanese", "euc-jp", false],
    ["chinese", "gb18030", false],
    ["taiwanese", "big5", false],
    ["korean", "euc-kr", false],
  ] as const)("%s in %s is read, with exact ranges: %s", (language, label, isExact) => {
    for (const times of [1, 40]) {
      const text = texts[language].repeat(times)
      const decoded = decode(encode(text, label))
      expect(decoded).toMatchObject({ text, isExact })
      expect(decoded?.encoding.form).toBe(isExact ? "single-byte" : "multi-byte")
    }
  })

  test("windows-1252 has its quotes, dashes and the euro sign", () => {
    const bytes = Buffer.from("He said \x93it\x92s \x80 5 \x97 caf\xe9\x94.", "latin1")
    expect(decode(bytes)).toMatchObject({ text: "He said “it’s € 5 — café”.", isExact: true })
  })

  test("in one that is not known is read for its ASCII words", () => {
    const decoded = decode(
      Buffer.from("the word \x84\x85\x86\xc1\xa2 in an unknown encoding\n".repeat(50), "latin1"),
    )
    expect(decoded?.text).toContain("in an unknown encoding")
  })

  test("one word with an accent is enough", () => {
    expect(decode(Buffer.from("caf\xe9 au lait", "latin1"))).toMatchObject({
      text: "café au lait",
      isExact: true,
    })
  })

  test.each(Object.keys(texts) as (keyof typeof texts)[])("%s in UTF-16 without a mark", (language) => {
    const text = texts[language].repeat(20)
    const little = Buffer.from(text, "utf16le")
    expect(decode(little)).toMatchObject({
      text,
      isExact: true,
      encoding: { form: "utf-16", label: "utf-16le" },
    })
    const big = Buffer.from(little).swap16()
    expect(decode(big)).toMatchObject({
      text,
      isExact: true,
      encoding: { form: "utf-16", label: "utf-16be" },
    })
  })

  test.each(Object.values(texts))("UTF-8 with and without a mark: %s", (text) => {
    expect(decode(Buffer.from(text))).toMatchObject({
      text,
      isExact: true,
      encoding: { label: "utf-8", bom: 0 },
    })
    expect(decode(Buffer.from(`\ufeff${text}`))).toMatchObject({ text, isExact: true, encoding: { bom: 3 } })
  })
})

describe("UTF-8", () => {
  test("may be cut off anywhere when the file goes on", () => {
    const bytes = Buffer.from(`a${"日本語😀é".repeat(10)}`)
    for (let length = 1; length <= bytes.length; length += 1) {
      const decoded = decode(bytes.subarray(0, length), true)
      expect(decoded?.encoding.label).toBe("utf-8")
      expect(decoded?.isExact).toBe(true)
      expect(bytes.toString().startsWith(decoded?.text ?? "-")).toBe(true)
      expect(Buffer.byteLength(decoded?.text ?? "")).toBeGreaterThan(length - 4)
    }
  })

  test("with a wrong byte here and there is still read as such, without exact ranges", () => {
    const good = Buffer.from("Größe und Länge der Straße. ".repeat(200))
    const bytes = Buffer.concat([good, Buffer.from([0xff]), good])
    const decoded = decode(bytes)
    expect(decoded?.isExact).toBe(false)
    expect(decoded?.text).toContain("Größe")
    expect(decoded?.text).toContain("\ufffd")
  })
})

describe("UTF-16 and UTF-32", () => {
  test("half a character in it does not come out as such", () => {
    const bytes = Buffer.concat([
      Buffer.from([0xff, 0xfe]),
      Buffer.from(`half \ud83d of it${" and more text".repeat(40)}`, "utf16le"),
    ])
    const decoded = decode(bytes)
    expect(decoded?.text).toContain("half \ufffd of it and more")
  })

  test("an odd byte at the end does not disturb", () => {
    const bytes = Buffer.concat([Buffer.from("\ufeffsome text", "utf16le"), Buffer.from([0x41])])
    expect(decode(bytes)).toMatchObject({ text: "some text", isExact: false })
  })

  test("a mark in front of something else does not make it a text", () => {
    const random = new Random(seed)
    expect(decode(Buffer.concat([Buffer.from([0xff, 0xfe]), random.bytes(5000)]))).toBeUndefined()
    expect(decode(Buffer.concat([Buffer.from([0xff, 0xfe, 0, 0]), random.bytes(5000)]))).toBeUndefined()
    expect(decode(Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.alloc(5000)]))).toBeUndefined()
  })
})

describe("no text", () => {
  test("random bytes, of any length from 200 on", () => {
    const random = new Random(seed)
    for (let i = 0; i < runs(300); i += 1)
      expect(decode(random.bytes(200 + random.below(5000)))).toBeUndefined()
  })

  test("zeros, numbers of a few bytes, pictures without a header", () => {
    expect(decode(Buffer.alloc(1))).toBeUndefined()
    expect(decode(Buffer.alloc(100_000))).toBeUndefined()
    expect(decode(Buffer.from(Int32Array.from({ length: 5000 }, (_, i) => i).buffer))).toBeUndefined()
    expect(decode(Buffer.from(Int16Array.from({ length: 5000 }, (_, i) => i % 50).buffer))).toBeUndefined()
    expect(
      decode(Buffer.from(Float64Array.from({ length: 2000 }, (_, i) => Math.sin(i)).buffer)),
    ).toBeUndefined()
  })

  test("words between NULs", () => {
    expect(
      decode(Buffer.from(Array.from({ length: 500 }, (_, i) => `name-${i * i}\0`).join(""))),
    ).toBeUndefined()
  })

  test("a text with something else behind it", () => {
    const text = Buffer.from("#!/bin/sh\ntail -n +3 $0 | tar x\n".repeat(20))
    expect(decode(Buffer.concat([text, new Random(seed).bytes(50_000)]))).toBeUndefined()
  })

  test("logs with colours and form feeds are", () => {
    const log = Buffer.from("\x1b[31merror\x1b[0m something failed\f\r\n".repeat(100))
    expect(isBinary(log)).toBe(false)
    expect(decode(log)?.text).toBe(log.toString())
  })

  test("an empty file is an empty text", () => {
    expect(decode(Buffer.alloc(0))).toMatchObject({ text: "", isExact: true })
  })
})
