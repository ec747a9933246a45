import { truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { Descriptor } from "../../../clawfs/sys/descriptor.ts"
import {
  MAX_TEXT_BYTES,
  MAX_WHOLE_BYTES,
  linesOf,
  readLines,
  readWhole,
  type Lines,
} from "../../../clawfs/mcp/text.ts"
import { openPath } from "../../../clawfs/sys/beneath.ts"
import { temporary, type Temporary } from "../support/temporary.ts"

let place: Temporary

beforeEach(() => {
  place = temporary()
})

afterEach(() => place[Symbol.dispose]())

function opened(content: string | Buffer): Descriptor {
  const path = join(place.path, "file")
  writeFileSync(path, content)
  return new Descriptor(openPath(path, 0))
}

function lines(content: string | Buffer, first = 1, last?: number): Lines {
  using file = opened(content)
  return readLines(file, "file", { first, last })
}

describe("a range of lines", () => {
  test("is what it says, whether or not the last line is ended", () => {
    expect(lines("a\nb\nc\n")).toMatchObject({ text: "a\nb\nc\n", first: 1, last: 3, isEnd: true })
    expect(lines("a\nb\nc", 2)).toMatchObject({ text: "b\nc", first: 2, last: 3, isEnd: true })
    expect(lines("a\nb\nc\n", 2, 2)).toMatchObject({ text: "b\n", first: 2, last: 2, isEnd: false })
    expect(lines("a\nb\nc\n", 3, 99)).toMatchObject({ text: "c\n", last: 3, isEnd: true })
  })

  test("of an empty file is empty", () => {
    expect(lines("")).toMatchObject({ text: "", first: 1, last: 0, isEnd: true })
  })

  test("behind the end is refused with the number of lines", () => {
    expect(() => lines("a\nb\n", 3)).toThrow("file has only 2 lines")
    expect(() => lines("a\nb", 4)).toThrow("file has only 2 lines")
    expect(() => lines("a", 2)).toThrow("file has only 1 line")
    expect(() => lines("", 2)).toThrow("file has only 0 lines")
  })

  test("is found in a large file, at every place of a line against the pieces that are read", () => {
    const many = Array.from({ length: 200_000 }, (_, at) => `line ${at + 1}\n`)
    const content = many.join("")
    for (const first of [1, 2, 23_000, 26_215, 199_999, 200_000])
      expect(lines(content, first, first).text).toBe(many[first - 1])
  })

  test("ends after 2000 lines, and goes on from there", () => {
    const content = Array.from({ length: 2500 }, (_, at) => `${at + 1}\n`).join("")
    const head = lines(content)
    expect(head).toMatchObject({ last: 2000, isEnd: false })
    expect(head.text + lines(content, head.last + 1).text).toBe(content)
  })

  test("ends with the last line that fits, and goes on from there", () => {
    const content = Array.from({ length: 100 }, (_, at) => `${at} ${"x".repeat(999)}\n`).join("")
    let text = ""
    for (let first = 1, isEnd = false; !isEnd;) {
      const piece = lines(content, first)
      expect(Buffer.byteLength(piece.text)).toBeLessThanOrEqual(MAX_TEXT_BYTES)
      text += piece.text
      first = piece.last + 1
      isEnd = piece.isEnd
    }
    expect(text).toBe(content)
  })

  test("of exactly the largest amount is whole", () => {
    const content = "x".repeat(MAX_TEXT_BYTES)
    expect(lines(content)).toMatchObject({ text: content, isEnd: true, isLineCut: false })
  })

  test("cuts a line that is too long between characters, and says so", () => {
    const content = `${"ä".repeat(MAX_TEXT_BYTES)}\nnext\n`
    const cut = lines(`x${content}`)
    expect(cut).toMatchObject({ isLineCut: true, isEnd: false, isUtf8: true, last: 1 })
    expect(cut.text).toBe(`x${"ä".repeat((MAX_TEXT_BYTES - 2) / 2)}`)
    expect(lines(content, 2).text).toBe("next\n")
  })

  test("says when bytes are no UTF-8", () => {
    expect(lines(Buffer.from([0x61, 0xe4, 0x0a]))).toMatchObject({ text: "a\ufffd\n", isUtf8: false })
  })

  test("is refused of a binary file", () => {
    expect(() => lines(Buffer.from([0x7f, 0x45, 0, 0x46]))).toThrow("file is a binary file")
    expect(() => lines(Buffer.concat([Buffer.alloc(20_000, "a\n"), Buffer.of(0)]))).toThrow("binary")
  })

  test("of a huge file is found or refused without reading all of it", () => {
    using file = opened("a\nb\n")
    truncateSync(join(place.path, "file"), 2 ** 40)
    expect(() => readLines(file, "file", { first: 1, last: 1 })).toThrow("binary")
  })
})

describe("a whole text", () => {
  const whole = (content: string | Buffer): string => {
    using file = opened(content)
    return readWhole(file, "file")
  }

  test("comes with everything in it, a byte order mark and other line ends too", () => {
    const content = "\ufeffa\r\nb\n"
    expect(whole(content)).toBe(content)
  })

  test("is refused if it is binary, of another encoding or too large", () => {
    expect(() => whole(Buffer.of(0))).toThrow("binary")
    expect(() => whole(Buffer.of(0xe4))).toThrow("file is not UTF-8")
    expect(() => whole(Buffer.alloc(MAX_WHOLE_BYTES + 1, "x"))).toThrow("larger than 16 MiB")
  })
})

test("a newline at the end begins no line", () => {
  expect([linesOf(""), linesOf("a"), linesOf("a\n"), linesOf("a\n\n")]).toEqual([[], ["a"], ["a"], ["a", ""]])
})
