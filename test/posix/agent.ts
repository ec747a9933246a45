/**
 * The hands of the conformance suite: a program with credentials of its own that executes raw system calls for its
 * parent, one at a time. It knows no structure of the kernel; it only moves bytes between messages and memory.
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs"
import koffi from "koffi"
import { type SyscallName, syscallNumber } from "./abi.ts"
import { type Argument, type Orders, type Reply, type Request, MESSAGE_BYTES, SOCKET } from "./wire.ts"

type Word = number | bigint

const ARENA_BYTES = 4 << 20
const CACHE_LINE = 64

const lib = koffi.load(null)
const syscall = lib.func(
  "int64_t syscall(int64_t n, int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f)",
) as unknown as (number: number, ...words: Word[]) => Word
const arena: unknown = koffi.alloc("uint8_t", ARENA_BYTES)
const memory = Buffer.from(koffi.view(arena, ARENA_BYTES))
const base = Number(koffi.address(arena))

interface Output {
  readonly at: number
  readonly length: number
  readonly isUpToResult: boolean
}

/** Puts the arguments of one call into the arena. */
class Frame {
  readonly outputs: Output[] = []
  #top = 0

  word(argument: Argument): Word {
    if (typeof argument === "number") return argument
    if (typeof argument === "string") return this.#put(Buffer.from(`${argument}\0`, "latin1"))
    if ("big" in argument) return BigInt(argument.big)
    if ("bytes" in argument) return this.#put(Buffer.from(argument.bytes, "base64"))
    if ("fill" in argument) return this.#put(Buffer.alloc(argument.fill[1], argument.fill[0]))
    if ("inout" in argument) return this.#putOutput(Buffer.from(argument.inout, "base64"), false)
    if ("out" in argument) return this.#putOutput(Buffer.alloc(argument.out), false)
    return this.#putOutput(Buffer.alloc(argument.read), true)
  }

  #putOutput(content: Buffer, isUpToResult: boolean): number {
    this.outputs.push({ at: this.#top, length: content.length, isUpToResult })
    return this.#put(content)
  }

  #put(content: Buffer): number {
    const at = this.#top
    if (at + content.length > ARENA_BYTES) throw new RangeError(`arguments exceed ${ARENA_BYTES} bytes`)
    content.copy(memory, at)
    this.#top = Math.ceil((at + content.length) / CACHE_LINE) * CACHE_LINE
    return base + at
  }
}

function execute([number, ...args]: Request): Reply {
  const frame = new Frame()
  const words = args.map((argument) => frame.word(argument))
  while (words.length < 6) words.push(0)
  const rc = Number(syscall(number, ...words))
  const errno = rc === -1 ? koffi.errno() : 0
  const out = frame.outputs.map(({ at, length, isUpToResult }) =>
    memory.toString("base64", at, at + (isUpToResult ? Math.min(length, Math.max(rc, 0)) : length)),
  )
  return { rc, errno, out }
}

function must(name: SyscallName, ...args: Argument[]): void {
  const { rc, errno } = execute([syscallNumber(name), ...args])
  if (rc !== 0) throw new Error(`${name}: errno ${errno}`)
}

/** Enters the mount namespace of another agent, then gives up root for good. */
function assume({ uid, gid, groups, namespaceOf }: Orders): void {
  const CLONE_FS = 0x200
  const CLONE_NEWNS = 0x20000
  const PR_SET_PDEATHSIG = 1
  const PR_SET_DUMPABLE = 4
  const SIGKILL = 9
  if (namespaceOf !== undefined) {
    const fd = openSync(`/proc/${namespaceOf}/ns/mnt`, "r")
    must("unshare", CLONE_FS)
    must("setns", fd, CLONE_NEWNS)
    closeSync(fd)
  }
  process.setgroups?.([...groups])
  process.setgid?.(gid)
  process.setuid?.(uid)
  must("prctl", PR_SET_PDEATHSIG, SIGKILL)
  // without it /proc/self/fd would belong to root, and linkat could not name an O_TMPFILE file through it
  must("prctl", PR_SET_DUMPABLE, 1)
}

assume(JSON.parse(process.argv[2] ?? "") as Orders)
const message = Buffer.alloc(MESSAGE_BYTES)
for (;;) {
  const length = readSync(SOCKET, message)
  if (length === 0) break
  writeSync(SOCKET, JSON.stringify(execute(JSON.parse(message.toString("utf8", 0, length)) as Request)))
}
process.exit(0)
