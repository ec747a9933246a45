import { spawnSync } from "node:child_process"
import { test, expect } from "vitest"
import { E, OK, errnoName, errnoOf, isErrno } from "../../../clawfs/core/errno.ts"
import { requirePrograms, skipIf } from "../support/requirements.ts"

test("every errno has the number that the system's errno.h gives it", (context) => {
  skipIf(context, requirePrograms("cc"))
  const names = Object.keys(E)
  const source = ["#include <errno.h>", ...names.map((name) => `@${name} ${name}`)].join("\n")
  const { stdout, status } = spawnSync("cc", ["-E", "-P", "-x", "c", "-"], {
    input: source,
    encoding: "utf8",
  })
  expect(status).toBe(0)
  // The preprocessor replaces the name behind the @ too: numbers come in the order of the names.
  const numbers = [...stdout.matchAll(/@\s*\d+\s+(\d+)/g)].map(([, number]) => Number(number))
  expect(numbers).toEqual(Object.values(E))
})

test("no errno is 0 and none stands for two names", () => {
  const numbers = Object.values(E).map(Number)
  expect(numbers.every((number) => number > 0)).toBe(true)
  expect(new Set(numbers).size).toBe(numbers.length)
})

/** Two names, one number, on Linux. */
const aliases: Readonly<Record<string, string>> = { EOPNOTSUPP: "ENOTSUP", EAGAIN: "EWOULDBLOCK" }

test("every errno is shown by its name", () => {
  for (const [name, number] of Object.entries(E)) expect([name, aliases[name]]).toContain(errnoName(number))
})

test("a number that nobody knows is shown as a number", () => {
  expect(errnoName(4711)).toBe("errno 4711")
  expect(errnoName(0)).toBe("errno 0")
})

test("an errno is told from success and from results", () => {
  expect(isErrno(E.ENOENT)).toBe(true)
  for (const result of [OK, undefined, null, "", {}, Buffer.alloc(2), { offset: 2 }])
    expect(isErrno(result)).toBe(false)
})

test("a system call never reports errno 0 or a negative one", () => {
  expect(errnoOf(2)).toBe(E.ENOENT)
  expect(() => errnoOf(0)).toThrow("BUG")
  expect(() => errnoOf(-2)).toThrow("BUG")
})
