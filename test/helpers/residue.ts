/** Looks for bytes in another process's memory, as root's debugger would, and in whatever else of it others can read. */
import { closeSync, openSync, readFileSync, readSync } from "node:fs"

const CHUNK = 4 * 1024 * 1024

export interface Residue {
  /** Where it was found: the region of memory. */
  readonly places: readonly string[]
  /** Bytes that were looked at, and regions that not even root may read. */
  readonly bytes: number
  readonly hidden: number
}

/** Every place in the memory of `pid` that has `needle`. */
export function scanMemory(pid: number, needle: Buffer): Residue {
  const fd = openSync(`/proc/${pid}/mem`, "r")
  const places: string[] = []
  let [bytes, hidden] = [0, 0]
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, "utf8").split("\n")) {
      const [, from = "", to = "", flags = "", name = ""] =
        /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$/.exec(line) ?? []
      if (!flags.startsWith("r") || name.startsWith("[v")) continue
      const found = scanRegion(fd, BigInt(`0x${from}`), BigInt(`0x${to}`), needle)
      hidden += found === undefined ? 1 : 0
      bytes += found?.bytes ?? 0
      places.push(...Array.from({ length: found?.hits ?? 0 }, () => `${from} ${name}`))
    }
  } finally {
    closeSync(fd)
  }
  return { places, bytes, hidden }
}

function scanRegion(
  fd: number,
  start: bigint,
  end: bigint,
  needle: Buffer,
): { hits: number; bytes: number } | undefined {
  const buffer = Buffer.allocUnsafeSlow(CHUNK)
  let [hits, bytes] = [0, 0]
  for (let at = start; at < end;) {
    const want = Number(end - at < BigInt(CHUNK) ? end - at : BigInt(CHUNK))
    let got: number
    try {
      got = readSync(fd, buffer, 0, want, at)
    } catch {
      return bytes === 0 ? undefined : { hits, bytes }
    }
    if (got === 0) break
    const seen = buffer.subarray(0, got)
    for (let hit = seen.indexOf(needle); hit >= 0; hit = seen.indexOf(needle, hit + 1)) hits += 1
    bytes += got
    if (got === want && at + BigInt(got) < end) at += BigInt(got - needle.length + 1)
    else at += BigInt(got)
  }
  buffer.fill(0)
  return { hits, bytes }
}
