/**
 * The extractor's process: reads files that could be made to hurt, under limits that the kernel keeps. It has an empty
 * environment, opens and writes no file, and goes when its parent does. See extractor-child.ts.
 */
import { readSync, writeSync } from "node:fs"
import { setPriority } from "node:os"
import { present } from "../../core/assert.ts"
import { Fault } from "../../core/fault.ts"
import { prctl, setrlimit } from "../../sys/libc.ts"
import { confine } from "../../seccomp/compile.ts"
import { extractorList } from "../../seccomp/extractor-list.ts"
import { checked } from "../../sys/ffi.ts"
import { CONTAINER_FORMATS, type ContainerFormat } from "./detect.ts"
import { isRefusal, type Extraction } from "./extraction.ts"
import { readContainer } from "./formats.ts"
import { encodeFrame, PREFIX } from "./frames.ts"
import type { Limits } from "./limits.ts"

const REQUESTS = 0
const REPLIES = 3
const LOWEST_PRIORITY = 19
const PR_SET_PDEATHSIG = 1
const SIGKILL = 9
const RLIMIT_FSIZE = 1
const RLIMIT_DATA = 2
const RLIMIT_CORE = 4

/** What the parent gives on the command line, as JSON. */
export interface ChildArguments {
  readonly parent: number
  readonly limits: Limits
}

function limitTo(resource: number, bytes: number): void {
  const limit = Buffer.alloc(16)
  limit.writeBigUInt64LE(BigInt(bytes), 0)
  limit.writeBigUInt64LE(BigInt(bytes), 8)
  checked("setrlimit", setrlimit(resource, limit))
}

/** Sets what outlives every bug in an extractor. False when the parent is gone already. */
function limit({ parent, limits }: ChildArguments): boolean {
  checked("prctl", prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
  limitTo(RLIMIT_CORE, 0)
  limitTo(RLIMIT_FSIZE, 0)
  limitTo(RLIMIT_DATA, limits.maxMemoryBytes)
  setPriority(LOWEST_PRIORITY)
  forbidTheRest()
  // It may have died before the kernel was asked to tell.
  return process.ppid === parent
}

/** By its list of system calls. Where a machine has none, documents are read all the same, and `clawfs doctor` says so. */
function forbidTheRest(): void {
  try {
    confine(extractorList(), { mayGain: false })
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown
  }
}

/** `length` bytes of the next request; undefined when the parent has closed its end. */
function take(length: number): Buffer | undefined {
  const bytes = Buffer.allocUnsafeSlow(length)
  for (let filled = 0; filled < length;) {
    const count = readSync(REQUESTS, bytes, filled, length - filled, null)
    if (count === 0) return undefined
    filled += count
  }
  return bytes
}

function put(bytes: Buffer): void {
  for (let sent = 0; sent < bytes.length;) sent += writeSync(REPLIES, bytes, sent)
}

function reply(extraction: Extraction): void {
  const text = isRefusal(extraction) ? "" : extraction.text
  const head = isRefusal(extraction) ? extraction : { ...extraction, text: "" }
  for (const part of encodeFrame(head, Buffer.from(text))) put(part)
}

async function serve(limits: Limits): Promise<void> {
  for (;;) {
    const prefix = take(PREFIX)
    const head = prefix && take(prefix.readUInt32LE(0))
    const body = prefix && take(prefix.readUInt32LE(4))
    if (head === undefined || body === undefined) return
    const { format } = JSON.parse(head.toString()) as { format: ContainerFormat }
    reply(
      await readContainer(
        present(
          CONTAINER_FORMATS.find((known) => known === format),
          "format",
        ),
        body,
        limits,
      ),
    )
  }
}

const given = JSON.parse(present(process.argv[2], "arguments")) as ChildArguments
if (limit(given)) {
  for (const part of encodeFrame({ ready: true }, Buffer.alloc(0))) put(part)
  await serve(given.limits)
}
