/** Which power cuts are tried: moments in a recording, and at each what of the pending operations has reached the disk. */
import { Random } from "../model/random.ts"
import type { Kept, Pending } from "./disk.ts"
import type { DiskOp } from "./recording.ts"

export interface Choice {
  readonly name: string
  readonly keep: (pending: Pending) => Kept
}

/**
 * Moments, ascending: numbers of operations that have happened. Just before a sync most is pending; just after a program
 * was told that its data is safe, most is promised; files that come and go are a matter of their own.
 */
export function moments(ops: readonly DiskOp[], count: number, random: Random): number[] {
  const beforeSyncs = ops.flatMap(({ op }, index) => (op === "sync" ? [index] : []))
  const afterPromises = ops.flatMap((op, index) => (isPromise(op) ? [index + 1] : []))
  const afterNames = ops.flatMap(({ op }, index) => (op === "create" || op === "unlink" ? [index + 1] : []))
  const chosen = new Set([ops.length])
  for (let tries = 0; chosen.size < count && tries < 20 * count; tries += 1) {
    const pool = random.pick([beforeSyncs, beforeSyncs, afterPromises, afterNames, undefined])
    if (pool === undefined || pool.length === 0) chosen.add(random.below(ops.length + 1))
    else chosen.add(Math.min(ops.length, random.pick(pool) + (pool === afterNames ? random.below(30) : 0)))
  }
  return [...chosen].sort((a, b) => a - b)
}

const isPromise = (op: DiskOp): boolean =>
  op.op === "mark" && ("unmounted" in op.mark || ("durable" in op.mark && op.mark.durable))

/** What is tried at one moment: the plain cases first, then `count` in all, as far as there are pending operations. */
export function choices(pending: readonly Pending[], count: number, random: Random): Choice[] {
  const all: Choice = { name: "everything arrived", keep: () => "all" }
  if (pending.length === 0) return [all]
  const list = [
    all,
    { name: "nothing arrived", keep: (): Kept => "nothing" },
    ...byFile(pending),
    ...byName(pending),
  ]
  const kinds = [oneMissing, prefix, some, some, torn, torn, tornAlone, tornAlone]
  while (list.length < count) list.push(random.pick(kinds)(pending, random))
  return list
}

const fileOf = ({ op }: Pending): number | undefined => (op.op === "unlink" ? undefined : op.file)
const isName = ({ op }: Pending): boolean => op.op === "create" || op.op === "unlink"

/** Only one file's writes arrived, or all but one file's: the log without what names it, and the other way round. */
function byFile(pending: readonly Pending[]): Choice[] {
  const files = [...new Set(pending.filter((each) => !isName(each)).map(fileOf))]
  if (files.length < 2) return []
  return files.flatMap((file) => [
    {
      name: `of the writes only those to file ${file ?? "?"}`,
      keep: (each: Pending): Kept => (isName(each) || fileOf(each) === file ? "all" : "nothing"),
    },
    {
      name: `no write to file ${file ?? "?"}`,
      keep: (each: Pending): Kept => (!isName(each) && fileOf(each) === file ? "nothing" : "all"),
    },
  ])
}

function byName(pending: readonly Pending[]): Choice[] {
  if (!pending.some(isName)) return []
  return [{ name: "no name made or removed", keep: (each): Kept => (isName(each) ? "nothing" : "all") }]
}

function oneMissing(pending: readonly Pending[], random: Random): Choice {
  const { index } = random.pick(pending)
  return { name: `all but operation ${index}`, keep: (each) => (each.index === index ? "nothing" : "all") }
}

function prefix(pending: readonly Pending[], random: Random): Choice {
  const { index } = random.pick(pending)
  return { name: `all before operation ${index}`, keep: (each) => (each.index < index ? "all" : "nothing") }
}

function some(pending: readonly Pending[], random: Random): Choice {
  const share = random.pick([0.1, 0.5, 0.9])
  const kept = new Set(pending.filter(() => random.chance(share)).map(({ index }) => index))
  return {
    name: `some of the operations: ${numbers(kept)}`,
    keep: (each) => (kept.has(each.index) ? "all" : "nothing"),
  }
}

/** Some arrive, some do not, and some in part. */
function torn(pending: readonly Pending[], random: Random): Choice {
  const whole = random.pick([0.2, 0.6, 0.95])
  const parts = new Map<number, Kept>()
  for (const { index } of pending) {
    const seed = random.below(2 ** 31)
    if (random.chance(whole)) parts.set(index, "all")
    else if (random.chance(0.3)) parts.set(index, "nothing")
    else parts.set(index, { sectors: sectorsOf(seed), size: random.chance(0.5) })
  }
  const partial = [...parts].filter(([, kept]) => typeof kept === "object").map(([index]) => index)
  return { name: `torn operations: ${numbers(partial)}`, keep: ({ index }) => parts.get(index) ?? "nothing" }
}

/** Of the writes to one file parts have arrived, of all others nothing. */
function tornAlone(pending: readonly Pending[], random: Random): Choice {
  const file = fileOf(random.pick(pending))
  const inner = torn(pending, random)
  return {
    name: `only file ${file ?? "?"}, ${inner.name}`,
    keep: (each) => (isName(each) ? "all" : fileOf(each) === file ? inner.keep(each) : "nothing"),
  }
}

/** Whether a sector arrived; the same answer for the same sector. */
function sectorsOf(seed: number): (sector: number) => boolean {
  const share = new Random(seed).pick([0.1, 0.5, 0.95])
  return (sector) => new Random(seed ^ Math.imul(sector + 1, 0x9e3779b1)).chance(share)
}

function numbers(indexes: Iterable<number>): string {
  const list = [...indexes]
  return list.slice(0, 40).join(" ") + (list.length > 40 ? ` … (${list.length})` : "")
}
