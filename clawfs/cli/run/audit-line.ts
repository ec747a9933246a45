/**
 * An event as a line of P1.4's audit log (§8.4): time, level in brackets, then `key=value`: agent, operation, path, denied; what
 * ClawFS knows besides stands behind these.
 */
import type { ToolEvent } from "../../../schema/tool-event.ts"

type Level = "INFO" | "WARN" | "ERROR"
type Field = readonly [key: string, value: string | number | boolean | undefined]

/** Anything else is quoted as JSON quotes it: a tool chooses the names of its files, and could write further fields there. */
const PLAIN = /^[A-Za-z0-9_./:@%+,~*-]+$/
const NOT_ASCII = /[^\u0020-\u007e]/g

export function auditLineOf(event: ToolEvent): string {
  const { time, tool, layer, error, run, pid } = event
  const fields: readonly Field[] = [
    ["agent", tool],
    ...whatOf(event),
    ["denied", layer !== undefined],
    ["layer", layer],
    ["error", error],
    ["run", run],
    ["pid", pid === 0 ? undefined : pid],
  ]
  const words = fields.flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${shown(`${value}`)}`]))
  return [time, `[${levelOf(event)}]`, ...words].join(" ")
}

function levelOf({ anomaly, threshold, layer }: ToolEvent): Level {
  if (anomaly?.severity === "HIGH" || anomaly?.severity === "CRITICAL") return "ERROR"
  return anomaly !== undefined || threshold !== undefined || layer !== undefined ? "WARN" : "INFO"
}

function whatOf({ file, network, process, anomaly, threshold, call, args }: ToolEvent): readonly Field[] {
  if (anomaly !== undefined)
    return [
      ["operation", "anomaly"],
      ["rule", anomaly.rule],
      ["severity", anomaly.severity],
      ["detail", anomaly.detail],
    ]
  if (threshold !== undefined)
    return [
      ["operation", "threshold"],
      ["metric", threshold.metric],
      ["value", threshold.value],
      ["limit", threshold.limit],
    ]
  if (file !== undefined)
    return [
      ["operation", file.operation.toLowerCase()],
      ["path", file.path],
    ]
  if (network !== undefined)
    return [
      ["operation", network.direction === "OUTBOUND" ? "connect" : "bind"],
      ["protocol", network.protocol],
      ["address", network.address],
      ["port", network.port],
    ]
  if (call !== undefined)
    return [
      ["operation", call],
      ["args", args?.join(",")],
    ]
  if (process?.child !== undefined)
    return [
      ["operation", "start"],
      ["program", process.name],
      ["child", process.child],
    ]
  return [
    ["operation", "exit"],
    ["program", process?.name],
    ["status", process?.status],
    ["signal", process?.signal],
  ]
}

function shown(value: string): string {
  if (PLAIN.test(value)) return value
  const escape = (each: string): string => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`
  return JSON.stringify(value).replaceAll(NOT_ASCII, escape)
}
