/** Events as lines of P1.4's audit log. */
import { expect, test } from "vitest"
import { auditLineOf } from "../../../clawfs/cli/run/audit-line.ts"
import type { ToolEvent } from "../../../schema/tool-event.ts"

const event: ToolEvent = {
  format: 1,
  time: "2026-11-22T12:00:00.000Z",
  monotonic_ns: "1",
  type: "FILE_ACCESS",
  run: "r-1",
  tool: "grep-notes",
  pid: 17,
  tid: 17,
}
const file = (path: string): NonNullable<ToolEvent["file"]> => ({
  operation: "READ",
  path,
  uid: 65534,
  gid: 65534,
})

test("time, level, agent, operation, path, denied, in this order", () => {
  expect(auditLineOf({ ...event, file: file("/clawfs/workspaces/a") })).toBe(
    "2026-11-22T12:00:00.000Z [INFO] agent=grep-notes operation=read path=/clawfs/workspaces/a denied=false run=r-1 pid=17",
  )
  const refused = { ...event, layer: "mounts", error: "EROFS", file: file("/clawfs/vault") } as const
  expect(auditLineOf(refused)).toContain(
    "[WARN] agent=grep-notes operation=read path=/clawfs/vault denied=true layer=mounts error=EROFS ",
  )
})

test("a name can't add fields or lines: what is not plain is quoted", () => {
  const line = auditLineOf({ ...event, file: file('/x denied=true\n"\u001b[2J\u00e9\u007f') })
  expect(line).toContain(String.raw`path="/x denied=true\n\"\u001b[2J\u00e9\u007f" denied=false`)
  expect(line).toMatch(/^[\u0020-\u007e]*$/)
})

test("each kind of event says what was done", () => {
  const network = { protocol: "TCP", direction: "OUTBOUND", address: "::1", port: 5432 } as const
  expect(auditLineOf({ ...event, network })).toContain(
    "operation=connect protocol=TCP address=::1 port=5432 denied=false",
  )
  expect(auditLineOf({ ...event, call: "ptrace", args: ["16", "0"], layer: "seccomp" })).toContain(
    "[WARN] agent=grep-notes operation=ptrace args=16,0 denied=true layer=seccomp",
  )
  expect(auditLineOf({ ...event, process: { name: "sh", status: 3 } })).toContain(
    "operation=exit program=sh status=3 denied=false",
  )
  const anomaly = { rule: "vault-access", severity: "CRITICAL", detail: "it was opened" } as const
  expect(auditLineOf({ ...event, pid: 0, anomaly })).toBe(
    '2026-11-22T12:00:00.000Z [ERROR] agent=grep-notes operation=anomaly rule=vault-access severity=CRITICAL detail="it was opened" denied=false run=r-1',
  )
})
