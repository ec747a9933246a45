/** The cache before table `dentry`: what it says is true or `null`, and it stays small. */
import fc from "fast-check"
import { expect, test } from "vitest"
import type { NodeId } from "../../../clawfs/core/brand.ts"
import { NameCache, type Found } from "../../../clawfs/store/name-cache.ts"

const entry = (ino: number): Found => ({ ino: ino as NodeId, cookie: ino + 16 })
const name = (text: string): Buffer => Buffer.from(text, "latin1")

test("a name is unknown, found or known to be missing", () => {
  const cache = new NameCache()
  expect(cache.get(1, name("a"))).toBeNull()
  cache.set(1, name("a"), entry(5))
  cache.set(1, name("b"), undefined)
  expect([cache.get(1, name("a")), cache.get(1, name("b"))]).toEqual([entry(5), undefined])
  expect([cache.get(2, name("a")), cache.get(1, name("A"))]).toEqual([null, null])
  cache.forget(1)
  expect(cache.get(1, name("a"))).toBeNull()
})

test("names that are no text are told apart byte by byte", () => {
  const cache = new NameCache()
  for (let byte = 0; byte < 256; byte += 1) cache.set(1, Buffer.from([byte, 0x80]), entry(byte + 2))
  for (let byte = 0; byte < 256; byte += 1)
    expect(cache.get(1, Buffer.from([byte, 0x80]))).toEqual(entry(byte + 2))
})

test("whatever it forgets, it never says anything that was not set last", () => {
  const step = fc.tuple(fc.nat({ max: 400 }), fc.nat({ max: 300 }), fc.nat({ max: 5 }))
  fc.assert(
    fc.property(fc.array(step, { minLength: 100, maxLength: 3000 }), (steps) => {
      const cache = new NameCache()
      const truth = new Map<string, Found | undefined>()
      // Far more names than it holds, so that it has to forget.
      for (let i = 0; i < 20_000; i += 1) cache.set(1000 + (i % 50), name(`filler ${i}`), entry(i + 2))
      for (const [parent, text, kind] of steps) {
        if (kind === 5) cache.forget(parent)
        const found = kind === 0 ? undefined : entry(text + 2)
        cache.set(parent, name(`${text}`), found)
        truth.set(`${parent}/${text}`, found)
        const [asked] = [...truth.keys()]
        const [askedParent = "", askedName = ""] = (asked ?? "").split("/")
        const said = cache.get(Number(askedParent), name(askedName))
        if (said !== null) expect(said).toEqual(truth.get(asked ?? ""))
        expect(cache.get(parent, name(`${text}`))).toEqual(found)
      }
    }),
    { numRuns: 20 },
  )
})
