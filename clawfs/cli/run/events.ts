/** The work of `clawfs events`. */
import { setTimeout as sleep } from "node:timers/promises"
import { TOOL_EVENT_TYPES, type ToolEventType } from "../../../schema/events.ts"
import type { EventPage, ToolEvent } from "../../../schema/tool-event.ts"
import { call } from "../../api/client.ts"
import { plainText } from "../../core/plain-text.ts"
import { UsageError } from "../command.ts"
import type { EventsInvocation } from "../commands/events.ts"
import { ExitCode } from "../exit-code.ts"
import { mountHere } from "../mount-here.ts"
import { auditLineOf } from "./audit-line.ts"

const POLL_MS = 200
const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const RELATIVE = /^(\d{1,9})([smhd])$/

export async function runEvents({ values, operands, terminal }: EventsInvocation): Promise<ExitCode> {
  const { follow = false, json = false, audit = false, tool, run } = values
  if (json && audit) throw new UsageError("events: --json and --audit are two formats")
  const shown = audit ? auditLineOf : json ? JSON.stringify : lineOf
  const types = typesOf(values.type)
  const since = sinceOf(values.since)
  const { store } = mountHere(operands[0])
  const filter = {
    ...(types === undefined ? {} : { types }),
    ...(tool === undefined ? {} : { tool }),
    ...(run === undefined ? {} : { run }),
    ...(since === undefined ? {} : { since }),
  }
  const unread = new AbortController()
  // `clawfs events --follow | grep -m 1 …` ends with its reader, at the next event.
  process.stdout.once("error", () => unread.abort())
  let after: string | undefined
  for (;;) {
    const params = { ...filter, ...(after === undefined ? {} : { after }) }
    const page = (await call(store, "events.read", params)) as EventPage
    if (page.isGap) terminal.note("events are missing here: the log was full")
    for (const event of page.events) terminal.out(shown(event))
    after = page.after
    if (page.hasMore) continue
    if (!follow || unread.signal.aborted) return ExitCode.OK
    await sleep(POLL_MS)
  }
}

function typesOf(text: string | undefined): ToolEventType[] | undefined {
  if (text === undefined) return undefined
  return text.split(",").map((word) => {
    const type = TOOL_EVENT_TYPES.find((each) => each === word.toUpperCase())
    if (type === undefined)
      throw new UsageError(
        `events: there is no type "${word}"`,
        `it is one of ${TOOL_EVENT_TYPES.join(", ")}`,
      )
    return type
  })
}

/** Milliseconds since the epoch. */
function sinceOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, count, unit] = RELATIVE.exec(text) ?? []
  if (count !== undefined && unit !== undefined)
    return Date.now() - Number(count) * UNITS[unit as keyof typeof UNITS]
  const time = Date.parse(text)
  if (Number.isNaN(time))
    throw new UsageError(`events: "${text}" is no time`, "such as 2026-11-21T20:00Z, 5m or 7d")
  return time
}

function lineOf(event: ToolEvent): string {
  const { time, type, tool, pid, layer, error } = event
  const refused = layer === undefined ? "" : ` refused by ${layer}`
  const failed = error === undefined ? "" : ` (${error})`
  // A tool chooses the names of its files.
  return plainText(`${time} ${type.padEnd(18)} ${tool} ${pid} ${whatOf(event)}${refused}${failed}`)
}

function whatOf({ file, network, process, anomaly, threshold, call: name, args }: ToolEvent): string {
  if (anomaly !== undefined) return `${anomaly.severity} ${anomaly.rule}: ${anomaly.detail}`
  if (threshold !== undefined)
    return `${threshold.metric} ${threshold.value} is ${threshold.percent} % of ${threshold.limit}`
  if (file !== undefined) return `${file.operation} ${file.path}`
  if (network !== undefined) {
    const { direction, protocol, address, port } = network
    return `${direction === "OUTBOUND" ? "to" : "at"} ${address} port ${port} ${protocol}`
  }
  if (name !== undefined) return `${name}(${(args ?? []).join(", ")})`
  if (process?.child !== undefined) return `${process.name} started process ${process.child}`
  if (process?.signal !== undefined) return `${process.name} was killed by signal ${process.signal}`
  return `${process?.name ?? ""} ended with ${process?.status ?? 0}`
}
