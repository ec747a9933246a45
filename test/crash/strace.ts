/**
 * Reads what `strace -f -y -xx` wrote: system calls in the order in which they returned, with all bytes. Calls of several
 * threads may overlap; for each it is told how many others had returned when it began.
 */
import { createReadStream } from "node:fs"
import { createInterface } from "node:readline"

export interface Call {
  readonly name: string
  /** Everything between the parentheses, and what it returned with what follows. */
  readonly args: string
  readonly result: string
  /** Calls that had returned when this one began. */
  readonly since: number
}

/** Calls in the order of their return, without those that failed. */
export async function* readCalls(path: string): AsyncGenerator<Call> {
  const unfinished = new Map<string, { text: string; since: number }>()
  let returned = 0
  for await (const line of createInterface({ input: createReadStream(path, "latin1") })) {
    const space = line.indexOf(" ")
    const pid = line.slice(0, space)
    let text = line.slice(space).trimStart()
    let since = returned
    if (text.startsWith("+++")) refuseCutOff(unfinished.get(pid)?.text)
    if (text.startsWith("---") || text.startsWith("+++")) continue
    if (text.endsWith("<unfinished ...>")) {
      unfinished.set(pid, { text: text.slice(0, -"<unfinished ...>".length).trimEnd(), since })
      continue
    }
    const resumed = /^<\.\.\. \w+ resumed>/.exec(text)
    if (resumed !== null) {
      const start = unfinished.get(pid)
      unfinished.delete(pid)
      if (start === undefined) throw new Error(`strace: ${text.slice(0, 80)} was not begun`)
      text = start.text + text.slice(resumed[0].length)
      since = start.since
    }
    const call = parse(text, since)
    if (call === undefined) continue
    returned += 1
    yield call
  }
}

function parse(text: string, since: number): Call | undefined {
  const open = text.indexOf("(")
  const close = text.lastIndexOf(") = ") >= 0 ? text.lastIndexOf(") = ") : text.search(/\)\s+= /)
  if (open < 0 || close < 0) throw new Error(`strace: not understood: ${text.slice(0, 200)}`)
  const result = text.slice(close + 1).replace(/^\s*= /, "")
  if (result.startsWith("?")) refuseCutOff(text)
  if (result.startsWith("-1 ") || result.startsWith("?")) return undefined
  return { name: text.slice(0, open), args: text.slice(open + 1, close), result, since }
}

/** A killed process leaves calls without a result: what a write did, nobody knows. Who kills must stop the process first. */
function refuseCutOff(text: string | undefined): void {
  if (text === undefined || /^(openat\(.*O_RDONLY|f(data)?sync\()/.test(text)) return
  throw new Error(`strace: cut off by a kill: ${text.slice(0, 80)}`)
}

/** The bytes of `\x41\x42`. */
export const unhex = (text: string): Buffer => Buffer.from(text.replaceAll("\\x", ""), "hex")

/** Every string in the arguments, in order. */
export function stringsOf(args: string): Buffer[] {
  return [...args.matchAll(/"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/g)].map(([, text = "", cut]) => {
    if (cut !== undefined) throw new Error("strace cut a string short")
    return unhex(text)
  })
}

/** The path behind a descriptor, `3<\x2f…>`, at the start of a text. A deleted file has none. */
export function pathOf(text: string): string | undefined {
  const found = /^\d+<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?/.exec(text)
  return found === null || found[2] !== undefined ? undefined : unhex(found[1] ?? "").toString()
}

/** The last arguments, as numbers. */
export function numbersOf(args: string, count: number): number[] {
  return args
    .slice(-80)
    .split(", ")
    .slice(-count)
    .map((text) => {
      const number = Number(text)
      if (!Number.isSafeInteger(number)) throw new Error(`strace: ${text} is no number`)
      return number
    })
}
