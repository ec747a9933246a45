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
import { Reserve } from "../../../clawfs/store/reserve.ts"
import { readGolden, section } from "../support/golden.ts"
import { temporary, type Temporary } from "../support/temporary.ts"

const HEADER = 4096
const TIME = { seconds: -2, nanos: 123_456_789 }
const file = (place: Temporary): string => join(place.path, "journal")

/** A journal with three entries of batch 7. */
function withEntries(place: Temporary): Journal {
  const journal = Journal.open(place.path)
  journal.arm(5n)
  for (const text of ["first", "second request", "x".repeat(64)]) journal.append(7, TIME, Buffer.from(text))
  return journal
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
    expect(entriesOf(place, 6)).toEqual([])
    expect(entriesOf(place, 8)).toEqual([])
  })

  test("has nothing of the batch before when a new one overwrites it", () => {
    using place = temporary()
    using journal = withEntries(place)
    journal.restart()
    expect(journal.isEmpty).toBe(true)
    journal.append(8, TIME, Buffer.from("fresh"))
    expect(entriesOf(place, 8)).toEqual(["fresh"])
    expect(entriesOf(place, 7)).toEqual([])
  })

  test("has nothing before it is armed, and nothing of another boot", () => {
    using place = temporary()
    {
      using journal = Journal.open(place.path)
      journal.append(7, TIME, Buffer.from("too early"))
      expect(journal.flags).toBeUndefined()
      expect(journal.entriesOf(7)).toEqual([])
      journal.arm(0n)
    }
    const bytes = readFileSync(file(place))
    bytes.write("another boot", 8, "latin1")
    writeFileSync(file(place), bytes)
    expect(entriesOf(place)).toEqual([])
  })

  test("ends before an entry that was not written to its end", () => {
    using place = temporary()
    withEntries(place)[Symbol.dispose]()
    const whole = readFileSync(file(place)).subarray(0, 8192)
    const [first, second] = [32 + 8 + 16, 32 + 16 + 16]
    for (const missing of [1, 2, 8, 15, 16, 17, 18, 30, 32, 33, 48, 63, second]) {
      const torn = Buffer.from(whole).fill(0xee, HEADER + first + second - missing)
      writeFileSync(file(place), torn)
      expect(entriesOf(place), `${missing} bytes missing`).toEqual(["first"])
    }
  })

  test("with a damaged byte anywhere does not keep a server from starting", () => {
    using place = temporary()
    withEntries(place)[Symbol.dispose]()
    const whole = readFileSync(file(place)).subarray(0, 8192)
    const thrown: number[] = []
    for (const offset of [
      0, 3, 4, 7, 8, 14, 15, 16, 22, 23, 24, 27, 28, 32, 36, 37, 40, 46, 48, 52, 55, 56,
    ]) {
      const at = HEADER + offset
      writeFileSync(file(place), Buffer.from(whole).fill(0x7f, at, at + 1))
      try {
        expect(entriesOf(place).length).toBeLessThanOrEqual(3)
      } catch (cause) {
        expect(cause).toBeInstanceOf(RangeError)
        thrown.push(at - HEADER)
      }
    }
    expect(thrown).toEqual([])
  })

  test("is whole again when its file was cut short", () => {
    using place = temporary()
    withEntries(place)[Symbol.dispose]()
    truncateSync(file(place), HEADER + 10)
    expect(entriesOf(place)).toEqual([])
    expect(statSync(file(place)).size).toBe(4 << 20)
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
    journal.arm(0n)
    let entries = 0
    for (; journal.fits(request.length); entries += 1) journal.append(1, TIME, request)
    expect(entries).toBe(Math.floor(((4 << 20) - HEADER) / (JOURNAL_REQUEST_MAX + 48)))
    expect(statSync(file(place)).size).toBe(4 << 20)
    expect(journal.entriesOf(1)).toHaveLength(entries)
  })

  test("has the bytes that the format describes", () => {
    using place = temporary()
    const golden = readGolden("record.hex")
    const header = Buffer.from(section(golden, "journal header").bytes)
    {
      using journal = Journal.open(place.path)
      journal.arm(0x1817161514131211n)
      const written = readFileSync(file(place)).subarray(0, header.length)
      // The boot's id and the random number are not ours to choose.
      const ours = (bytes: Buffer): string => bytes.toString("hex", 0, 8) + bytes.toString("hex", 44, 52)
      expect(ours(written)).toBe(ours(header))
      expect(written.toString("latin1", 8, 44)).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      written.copy(header, 8, 8, 44)
    }
    const fd = openSync(file(place), "r+")
    writeSync(fd, header, 0, header.length, 0)
    closeSync(fd)
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
    journal.arm(6n)
    expect(journal.entriesOf(7)).toHaveLength(3)
    const bytes = readFileSync(file(place))
    const nonce = bytes.readUInt32LE(52)
    bytes.writeUInt32LE((nonce + 1) >>> 0, 52)
    writeFileSync(file(place), bytes)
    expect(entriesOf(place)).toEqual([])
  })
})

describe("the reserve", () => {
  test("takes its space once and gives it back", () => {
    using place = temporary()
    const reserve = new Reserve(place.path)
    const path = join(place.path, "reserve")
    expect([reserve.take(), reserve.take()]).toEqual([true, true])
    expect(statSync(path).blocks * 512).toBeGreaterThanOrEqual(16 << 20)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    reserve.give()
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined()
    reserve.give()
    expect(reserve.take()).toBe(true)
    rmSync(path)
  })
})
