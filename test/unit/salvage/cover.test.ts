import { expect, test } from "vitest"
import { Cover } from "../../../clawfs/salvage/cover.ts"
import { fc } from "../support/fast-check.ts"

const SIZE = 64

test("covers each byte with the piece that was laid over it last, or that came first where it only fills", () => {
  const piece = fc.record({ start: fc.nat(SIZE - 1), length: fc.nat(20), isFill: fc.boolean() })
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const cover = new Cover<number>()
      const bytes = Array.from<number | undefined>({ length: 2 * SIZE })
      pieces.forEach(({ start, length, isFill }, value) => {
        const end = start + length
        const free = bytes.slice(start, end).filter((byte) => byte === undefined).length
        if (isFill) expect(cover.fill(start, end, value)).toBe(free)
        else cover.put(start, end, value)
        for (let at = start; at < end; at += 1) if (!isFill || bytes[at] === undefined) bytes[at] = value
      })
      const seen = Array.from<number | undefined>({ length: 2 * SIZE })
      let last = 0
      for (const { start, end, value } of cover.spans) {
        expect(start).toBeGreaterThanOrEqual(last)
        expect(end).toBeGreaterThan(start)
        seen.fill(value, start, end)
        last = end
      }
      expect(seen).toEqual(bytes)
      expect(cover.end).toBe(last)
      const gaps = cover.gaps(0, 2 * SIZE).reduce((sum, { start, end }) => sum + end - start, 0)
      expect(gaps).toBe(bytes.filter((byte) => byte === undefined).length)
    }),
  )
})
