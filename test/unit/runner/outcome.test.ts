/** Codes of P1.8, and what a tool wrote as text or bytes. */
import { expect, test } from "vitest"
import { Fault, type FaultKind } from "../../../clawfs/core/fault.ts"
import { outputOf } from "../../../clawfs/runner/capture.ts"
import { refusal, toldOf } from "../../../clawfs/runner/outcome.ts"
import { requestId, takenId } from "../../../clawfs/runner/request-file.ts"
import { ToolRequest } from "../../../schema/tool-answer.ts"

const ended = { runId: "r", detail: "", pid: 9, durationMs: 1.4 }

test.each([
  [0, "EXITED", 0, 0],
  [143, "EXITED", 0, 15],
  [200, "EXITED", 0, 0],
  [137, "OOM", 0, 9],
  [2, "PIDS", 0, 0],
  [124, "TIMEOUT", 6, 0],
  [125, "CANCELLED", 2, 0],
  [126, "NOT_STARTED", 7, 0],
] as const)("status %d, %s: code %d, signal %d", (status, reason, code, signal) => {
  const { outcome } = toldOf({ ...ended, status, reason })
  expect(outcome).toMatchObject({
    code,
    signal,
    exit_code: status,
    run_id: "r",
    pid: 9,
    runtime_ns: 1_000_000,
  })
})

test.each([
  ["busy", 125, 1],
  ["locked", 126, 1],
  ["io", 126, 2],
  ["not-found", 127, 3],
  ["denied", 126, 4],
  ["invalid", 126, 5],
  ["timeout", 125, 6],
  ["bug", 126, 7],
] as const)("a refusal for %s: status %d, code %d", (kind: FaultKind, status, code) => {
  const told = refusal(new Fault(kind, "why", { hint: "what" }))
  expect(told).toMatchObject({
    status,
    message: "why\nhint: what",
    outcome: { code, run_id: null, hint: "what" },
  })
})

test("127 is for a tool that is not there, not for what it needs", () => {
  expect(refusal(new Fault("not-found", "why"), "r")).toMatchObject({ status: 126, outcome: { code: 3 } })
})

test("what is nobody's fault but ours has code 7", () => {
  expect(refusal(new TypeError("x"), "r")).toMatchObject({
    status: 125,
    outcome: { code: 7, run_id: "r", reason: "NOT_STARTED" },
  })
})

test("text is text, cut off at a whole character, and anything else base64", () => {
  const bytes = Buffer.from("aü€")
  expect(outputOf(bytes, false)).toEqual({ encoding: "utf8", data: "aü€", truncated: false })
  for (const length of [3, 4, 5]) expect(outputOf(bytes.subarray(0, length), true).data).toBe("aü")
  expect(outputOf(bytes, true).data).toBe("aü€")
  expect(outputOf(bytes.subarray(0, 2), true).data).toBe("a")
  expect(outputOf(Buffer.alloc(0), true).data).toBe("")
  expect(outputOf(Buffer.of(0xff, 0x61), true)).toEqual({ encoding: "base64", data: "/2E=", truncated: true })
  expect(outputOf(bytes.subarray(0, 2), false).encoding).toBe("base64")
})

test("which files are requests", () => {
  expect(["a.json", "A-1._.json", `${"x".repeat(100)}.json`].map(requestId)).toEqual([
    "a",
    "A-1._",
    "x".repeat(100),
  ])
  const none = [
    ".a.json",
    "a",
    "a.JSON",
    "a.answer.json",
    "a/b.json",
    `${"x".repeat(101)}.json`,
    "a\n.json",
    "ü.json",
  ]
  expect(none.map(requestId)).toEqual(none.map(() => undefined))
  expect([takenId(".a.taken"), takenId("a.taken"), takenId(".a.json")]).toEqual(["a", undefined, undefined])
})

test("everything of a request may be left out", () => {
  expect(ToolRequest.parse({})).toEqual({ argv: [], envp: [], working_dir: "/", flags: 0, stdin: "" })
  expect(ToolRequest.safeParse({ flags: 6 }).success).toBe(true)
  for (const flags of [1, 3, 8, -1]) expect(ToolRequest.safeParse({ flags }).success).toBe(false)
})
