import { closeSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test, vi } from "vitest"
import { shortSocketPath } from "../../../clawfs/sys/socket-path.ts"
import { temporary } from "../support/temporary.ts"

vi.mock(import("node:fs"), async (original) => {
  const real = await original()
  return { ...real, closeSync: vi.fn(real.closeSync) }
})

test("a file in the deepest directory has a short path while it is held", () => {
  using place = temporary()
  const deep = join(place.path, ...Array<string>(12).fill("x".repeat(40)))
  mkdirSync(deep, { recursive: true })
  writeFileSync(join(deep, "name"), "found")
  const short = shortSocketPath(deep, "name")
  expect(short.path.length).toBeLessThan(107)
  expect(readFileSync(short.path, "utf8")).toBe("found")
  short[Symbol.dispose]()
  expect(() => readFileSync(short.path)).toThrow("ENOENT")
})

test("a path that is given back twice closes its descriptor once: the number may be somebody else's by then", () => {
  using place = temporary()
  const short = shortSocketPath(place.path, "name")
  const closed = vi.mocked(closeSync)
  closed.mockClear()
  short[Symbol.dispose]()
  // Not really: another test's file may have the number.
  closed.mockImplementationOnce(() => undefined)
  short[Symbol.dispose]()
  expect(closed).toHaveBeenCalledOnce()
})
