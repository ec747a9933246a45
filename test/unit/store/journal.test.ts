import {
  closeSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { JOURNAL_REQUEST_MAX, Journal } from "../../../clawfs/store/journal.ts"
import {
  WITNESS_AT,
  currentBootId,
  encodeJournalHeader,
  isOfThisBoot,
  witnessOf,
  type JournalHeader,
} from "../../../clawfs/store/journal-header.ts"
import { readGolden, section } from "../support/golden.ts"
import { temporary, type Temporary } from "../support/temporary.ts"

const HEADER = 4096
const TIME = { seconds: -2, nanos: 123_456_789 }
const file = (place: Temporary): string => join(place.path, "journal")

/** A journal with three entries of batch 7. */
function withEntries(place: Temporary): Journal {
  const journal = Journal.open(place.path)
  journal.arm(5n, 7)
  for (const text of ["first", "second request", "x".repeat(64)]) journal.append(7, TIME, Buffer.from(text))
  return journal
}

const OTHER_BOOT = "00000000-0000-0000-0000-000000000000"

/** A journal with this header and no entries that were counted. */
function putHeader(place: Temporary, header: JournalHeader): void {
  const fd = openSync(file(place), "a+")
  closeSync(fd)
  const bytes = Buffer.concat([encodeJournalHeader(header), Buffer.alloc(4)])
  const opened = openSync(file(place), "r+")
  writeSync(opened, bytes, 0, bytes.length, 0)
  closeSync(opened)
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(copy.readUInt8(at) ^ 0x41, at)
  return copy
}

function entriesOf(place: Temporary, batch = 7): string[] {
  using journal = Journal.open(place.path)
  return journal.entriesOf(batch).map(({ request }) => request.toString())
}

describe("the journal", () => {
  test("gives back the entries of a batch in order, with their time", () => {
    using place = temporary()
    using _ = withEntries(place)
    using journal = Journal.open(place.path)
    expect(journal.flags).toBe(5n)
    const entries = journal.entriesOf(7)
    expect(entries.map(({ request }) => request.toString())).toEqual([
      "first",
      "second request",
      "x".repeat(64),
    ])
    expect(entries.every(({ time }) => time.seconds === TIME.seconds && time.nanos === TIME.nanos)).toBe(true)
    expect(journal.isEmpty).toBe(false)
  })

  test("goes on behind the entries that it found", () => {
    using place = temporary()
    withEntries(place)[Symbol.dispose]()
    {
      using journal = Journal.open(place.path)
      journal.entriesOf(7)
      journal.append(7, TIME, Buffer.from("fourth"))
    }
    expect(entriesOf(place)).toEqual(["first", "second request", "x".repeat(64), "fourth"])
  })

  test("has nothing of another batch", () => {
    using place = temporary()
    withEntries(place)[Symbol.dispose]()
    expect(entriesOf(place, 8)).toEqual([])
  })

  test("is not believed when the database is not as far as it is", () => {
    using place = temporary()
    withEntries(place)[Symbol.dispose]()
    expect(() => entriesOf(place, 6)).toThrow("the database lacks the last 1 commits")
    {
      using journal = Journal.open(place.path)
      expect(journal.forgetRest(6)).toBe(false)
    }
    using journal = withEntries(place)
    journal.restart(9)
    expect(() => entriesOf(place, 7)).toThrow("the database lacks the last 2 commits")
  })

  test("has nothing of the batch before when a new one overwrites it", () => {
    using place = temporary()
    using journal = withEntries(place)
    journal.restart(8)
    expect(journal.isEmpty).toBe(true)
    journal.append(8, TIME, Buffer.from("fresh"))
    expect(entriesOf(place, 8)).toEqual(["fresh"])
    expect(entriesOf(place, 9)).toEqual([])
  })

  test("has nothing before it is armed, and nothing of another boot", () => {
    using place = temporary()
    {
      using journal = Journal.open(place.path)
      journal.append(7, TIME, Buffer.from("too early"))
      expect(journal.flags).toBeUndefined()
      expect(journal.entriesOf(7)).toEqual([])
      journal.arm(0n, 1)
    }
    putHeader(place, { bootId: OTHER_BOOT, flags: 0n, nonce: 1 })
    expect(entriesOf(place)).toEqual([])
  })

  test("ends before an entry that was not written to its end, and was not counted", () => {
    using place = temporary()
    withEntries(place)[Symbol.dispose]()
    const whole = readFileSync(file(place)).subarray(0, 8192)
    whole.writeUInt32LE(witnessOf(7, 1), WITNESS_AT)
    const [first, second] = [32 + 8 + 16, 32 + 16 + 16]
    for (const missing of [1, 2, 8, 15, 16, 17, 18, 30, 32, 33, 48, 63, second]) {
      const torn = Buffer.from(whole).fill(0xee, HEADER + first + second - missing)
      writeFileSync(file(place), torn)
      expect(entriesOf(place), `${missing} bytes missing`).toEqual(["first"])
    }
  })

  test("with a damaged byte anywhere is not believed, and keeps what is whole of it when it is mended", () => {
    using place = temporary()
    withEntries(place)[Symbol.dispose]()
    const whole = readFileSync(file(place)).subarray(0, 8192)
    const bytes = 3 * 48 + 8 + 16 + 64
    // Behind a request up to a multiple of 8 there is nothing.
    const isPadding = (at: number): boolean => (at >= 37 && at < 40) || (at >= 102 && at < 104)
    for (let at = HEADER; at < HEADER + bytes; at += 1) {
      if (isPadding(at - HEADER)) continue
      writeFileSync(file(place), flipped(whole, at))
      expect(() => entriesOf(place), `byte ${at}`).toThrow(/of 3 answered requests [012] can be read/)
      {
        using journal = Journal.open(place.path)
        expect(journal.forgetRest(7)).toBe(true)
      }
      expect(["first", "second request"].slice(0, 2)).toEqual(expect.arrayContaining(entriesOf(place)))
    }
  })

  test("with a damaged header is not believed, unless the store was unmounted", () => {
    using place = temporary()
    withEntries(place)[Symbol.dispose]()
    const whole = readFileSync(file(place)).subarray(0, 8192)
    const wal = join(place.path, "meta.db-wal")
    for (let at = 0; at < WITNESS_AT; at += 1) {
      writeFileSync(file(place), flipped(whole, at))
      writeFileSync(wal, "commits")
      expect(() => entriesOf(place), `byte ${at}`).toThrow("the journal's header is damaged")
      expect(() => isOfThisBoot(place.path)).toThrow("the journal's header is damaged")
      rmSync(wal)
      expect([entriesOf(place), isOfThisBoot(place.path)]).toEqual([[], false])
    }
  })

  test("that was cut short is not believed, and is whole again when that does not matter", () => {
    using place = temporary()
    withEntries(place)[Symbol.dispose]()
    truncateSync(file(place), HEADER + 10)
    expect(() => entriesOf(place)).toThrow("of 3 answered requests 0 can be read")
    expect(statSync(file(place)).size).toBe(4 << 20)
    writeFileSync(join(place.path, "meta.db-wal"), "commits")
    for (const length of [1, 40, WITNESS_AT - 1]) {
      truncateSync(file(place), length)
      expect(() => entriesOf(place), `${length} bytes`).toThrow("the journal's header is damaged")
    }
  })

  test("of a daemon of an older clawfs that was killed is refused", () => {
    using place = temporary()
    const header = Buffer.alloc(8192)
    header.write(`CLAWJRN1${currentBootId()}`, "latin1")
    writeFileSync(file(place), header)
    expect(entriesOf(place)).toEqual([])
    writeFileSync(join(place.path, "meta.db-wal"), "commits")
    expect(() => entriesOf(place)).toThrow("a daemon of an older clawfs")
    header.write(`CLAWJRN1${OTHER_BOOT}`, "latin1")
    writeFileSync(file(place), header)
    expect(entriesOf(place)).toEqual([])
  })

  test("is reserved at once and readable by its owner alone", () => {
    using place = temporary()
    Journal.open(place.path)[Symbol.dispose]()
    const { blocks, mode, size } = statSync(file(place))
    expect([blocks * 512 >= size, size, mode & 0o777]).toEqual([true, 4 << 20, 0o600])
  })

  test("refuses requests that are too long, and those that don't fit any more", () => {
    using place = temporary()
    using journal = Journal.open(place.path)
    expect([journal.fits(JOURNAL_REQUEST_MAX), journal.fits(JOURNAL_REQUEST_MAX + 1)]).toEqual([true, false])
    const request = Buffer.alloc(JOURNAL_REQUEST_MAX)
    journal.arm(0n, 1)
    let entries = 0
    for (; journal.fits(request.length); entries += 1) journal.append(1, TIME, request)
    expect(entries).toBe(Math.floor(((4 << 20) - HEADER) / (JOURNAL_REQUEST_MAX + 48)))
    expect(statSync(file(place)).size).toBe(4 << 20)
    expect(journal.entriesOf(1)).toHaveLength(entries)
  })

  test("has the bytes that the format describes", () => {
    using place = temporary()
    const golden = readGolden("record.hex")
    const fields = { flags: 0x1817161514131211n, nonce: 0x44434241 }
    const header = encodeJournalHeader({ bootId: "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", ...fields })
    expect(header.toString("hex")).toBe(section(golden, "journal header").bytes.toString("hex"))
    putHeader(place, { bootId: currentBootId(), ...fields })
    using journal = Journal.open(place.path)
    expect(journal.entriesOf(1)).toEqual([])
    journal.append(0x7161514131211, { seconds: 0x7262524232221, nanos: 0x04333231 }, Buffer.from("request"))
    const { bytes } = section(golden, "journal entry")
    const written = readFileSync(file(place)).subarray(HEADER, HEADER + bytes.length)
    expect(written.toString("hex")).toBe(bytes.toString("hex"))
  })

  test("of a boot has a number of its own, which tells its entries from leftovers", () => {
    using place = temporary()
    using journal = withEntries(place)
    journal.arm(6n, 7)
    expect(journal.entriesOf(7)).toHaveLength(3)
    const bytes = readFileSync(file(place))
    const [flags, nonce] = [bytes.readBigUInt64LE(44), bytes.readUInt32LE(52)]
    putHeader(place, { bootId: currentBootId(), flags, nonce: (nonce + 1) >>> 0 })
    expect(entriesOf(place)).toEqual([])
  })
})
