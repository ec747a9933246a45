import { writeSync } from "node:fs"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { Log, type Level } from "../../../clawfs/core/log.ts"

vi.mock(import("node:fs"), async (original) => ({ ...(await original()), writeSync: vi.fn() }))

const written = vi.mocked(writeSync)
beforeEach(() => {
  written.mockReset()
})
afterEach(() => {
  vi.useRealTimers()
})

const lines = (): string[] => written.mock.calls.map(([, text]) => text)

test("a line is one JSON object with time, level, source, message and the fields", () => {
  vi.useFakeTimers({ now: new Date("2025-11-21T06:00:00.123Z") })
  new Log("fuse").info("request failed", { op: "WRITE", node: 17, ok: false, stack: undefined })
  expect(lines()).toEqual([
    '{"time":"2025-11-21T06:00:00.123Z","level":"info","source":"fuse","message":"request failed",' +
      '"op":"WRITE","node":17,"ok":false}\n',
  ])
  expect(written.mock.calls[0]?.[0]).toBe(2)
})

test("text with newlines stays on one line", () => {
  new Log("x").error("a\nb", { stack: "c\nd" })
  expect(lines()[0]?.trimEnd()).not.toContain("\n")
  expect(JSON.parse(lines()[0] ?? "")).toMatchObject({ message: "a\nb", stack: "c\nd" })
})

test("what is below the level is not written", () => {
  const emitted = (level: Level): string[] => {
    written.mockReset()
    const log = new Log("x", { level })
    log.debug("debug")
    log.info("info")
    log.warn("warn")
    log.error("error")
    return lines().map((line) => (JSON.parse(line) as { level: string }).level)
  }
  expect(emitted("debug")).toEqual(["debug", "info", "warn", "error"])
  expect(emitted("info")).toEqual(["info", "warn", "error"])
  expect(emitted("warn")).toEqual(["warn", "error"])
  expect(emitted("error")).toEqual(["error"])
})

test("only at level debug is it worth preparing debug lines", () => {
  expect(new Log("x", { level: "debug" }).debugs).toBe(true)
  expect(new Log("x").debugs).toBe(false)
})

test("a warning throws where warnings are fatal, after it was written", () => {
  const log = new Log("x", { warnIsFatal: true })
  expect(() => log.warn("disk slow")).toThrow("disk slow")
  expect(lines()).toHaveLength(1)
  log.error("errors never throw")
})

test.each(["EPIPE", "EIO", "ENOSPC", "EAGAIN", "EROFS", "EDQUOT"])(
  "a log that can't be written (%s) does not end the server",
  (code) => {
    written.mockImplementation(() => {
      throw Object.assign(new Error("write"), { code, syscall: "write" })
    })
    new Log("x").error("x")
    expect(written).toHaveBeenCalledOnce()
  },
)
