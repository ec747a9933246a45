/**
 * A random mix of what happens to a store: files are made, written, cut, renamed and removed, snapshots made, restored and
 * deleted, the log cleaned, the disk full for a while, and the server killed at any moment; against a model of what
 * programs were told.
 */
import { readdirSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { Fault } from "../../../clawfs/core/fault.ts"
import { present } from "../../../clawfs/core/assert.ts"
import { Removal } from "../../../clawfs/fs/removal.ts"
import { restore } from "../../../clawfs/fs/restore.ts"
import { createSnapshot, deleteSnapshot } from "../../../clawfs/fs/snapshots.ts"
import { Opcode } from "../../../clawfs/fuse/abi.ts"
import type { NodeId } from "../../../clawfs/core/brand.ts"
import type { Inode } from "../../../clawfs/store/inode.ts"
import { segmentPath } from "../../../clawfs/store/segment-files.ts"
import { SEGMENTS } from "../../../clawfs/store/store.ts"
import { fsck } from "../../../clawfs/fsck/fsck.ts"
import { readFile } from "./files.ts"
import { brokenInvariants } from "./invariants.ts"
import { disk } from "./mix-disk.ts"
import { Random } from "./random.ts"
import { request, resent, words, z } from "./requests.ts"
import { KILLED, TestServer, type Answer } from "./server.ts"

const O = Opcode
const NAMES = ["a", "b", "c", "d", "e", "f", "g", "h"] as const
const LENGTHS = [100, 5000, 20_000, 130_000] as const
const MOST_BYTES = 1_500_000
/** Half a segment. */
const FILL_BYTES = 2_000_000
const FILL_STEP = 200_000
const SLICE_BYTES = 300_000
const MOST_SNAPSHOTS = 4
const FATTR_SIZE = 8
const ENOSPC = 28
const ENOENT = 2

type Files = Map<string, Buffer>

class Mix implements Disposable {
  readonly #random: Random
  readonly #server: TestServer
  readonly #directory: number
  #files: Files = new Map()
  readonly #snapshots = new Map<string, Files>()
  #unique = 2n
  #made = 0
  kills = 0
  refusals = 0

  constructor(random: Random, killsOnceIn: number) {
    this.#random = random
    disk.isFull = false
    this.#server = new TestServer({ killsAt: () => random.below(killsOnceIn) === 0 })
    const { payload } = this.#ask(O.MKDIR, [words(0o755, 0), z("top")], 1)
    this.#directory = Number(payload.readBigUInt64LE(0))
  }

  get directory(): string {
    return this.#server.directory
  }

  step(): void {
    const random = this.#random
    const name = random.pick(NAMES)
    switch (random.below(17)) {
      case 0:
      case 1:
      case 2:
      case 3:
        this.#write(
          name,
          random.below(random.below(4) === 0 ? MOST_BYTES : 40_000),
          1 + random.below(random.pick(LENGTHS)),
        )
        break
      case 4:
        this.#cut(name, random.below(200_000))
        break
      case 5:
      case 6:
        this.#unlink(name)
        break
      case 7:
        this.#rename(name, random.pick(NAMES))
        break
      case 8:
        this.#snapshot()
        break
      case 9:
        this.#deleteSnapshot()
        break
      case 10:
        if (random.below(3) === 0) this.#restore()
        break
      case 11:
        this.#between(() => this.#server.store.garbage.wantAll())
        break
      case 12:
        this.#clean()
        break
      case 13:
        this.#kill()
        break
      case 14:
        this.#between(() => this.#server.store.commit())
        break
      case 15:
        for (let at = 0; at < FILL_BYTES; at += FILL_STEP) this.#write(name, at, FILL_STEP)
        break
      default:
        disk.isFull = random.below(3) === 0
        this.#between(() => this.#server.store.tidy())
    }
  }

  #kill(): void {
    this.kills += 1
    this.#server.restart()
  }

  /** Runs an order; false when the server was killed in it: it may have been carried out or not. */
  #between(run: () => void): boolean {
    try {
      if (this.#server.between(run) !== KILLED) return true
    } catch (thrown) {
      if (!(thrown instanceof Fault && thrown.kind === "no-space" && disk.isFull)) throw thrown
      this.refusals += 1
      return false
    }
    this.#kill()
    return false
  }

  /** As the kernel asks: again, when the server dies over it. */
  #ask(opcode: number, bodies: readonly Buffer[], node: number, isAnswered = true): NonNullable<Answer> {
    this.#unique += 2n
    let message = request(opcode, bodies, { node, unique: this.#unique })
    for (;;) {
      const answer = this.#server.send(message)
      if (answer === KILLED) {
        this.#kill()
        if (!isAnswered) return NOTHING
        message = resent(message)
      } else if (answer === undefined) return NOTHING
      else return answer
    }
  }

  /** Whether it was done; only a full disk refuses, and only what takes room. */
  #isDone(answer: NonNullable<Answer>, ...expected: number[]): boolean {
    if (answer.error === 0) return true
    if (answer.error === -ENOSPC && disk.isFull) {
      this.refusals += 1
      return false
    }
    if (expected.includes(-answer.error)) return false
    throw new Error(`errno ${-answer.error}`)
  }

  #onFile(name: string, use: (node: number) => void): void {
    const answer = this.#ask(O.LOOKUP, [z(name)], this.#directory)
    const node = answer.error === 0 ? Number(answer.payload.readBigUInt64LE(0)) : 0
    if ((node !== 0) !== this.#files.has(name))
      throw new Error(`${name} is ${node === 0 ? "lost" : "there again"}`)
    if (node === 0) return
    use(node)
    this.#ask(O.FORGET, [words(1n)], node, false)
  }

  #write(name: string, offset: number, length: number): void {
    if (!this.#files.has(name)) {
      const made = this.#ask(O.MKNOD, [words(0o100644, 0, 0, 0), z(name)], this.#directory)
      if (!this.#isDone(made)) return
      this.#files.set(name, Buffer.alloc(0))
      this.#ask(O.FORGET, [words(1n)], Number(made.payload.readBigUInt64LE(0)), false)
    }
    const data = Buffer.alloc(length, `${this.#random.below(1e9)} `)
    this.#onFile(name, (node) => {
      const head = words(0n, BigInt(offset), length, 0, 0n, 0, 0)
      if (!this.#isDone(this.#ask(O.WRITE, [head, data], node))) return
      const before = present(this.#files.get(name), "file of the model")
      const after = Buffer.alloc(Math.max(before.length, offset + length))
      before.copy(after)
      data.copy(after, offset)
      this.#files.set(name, after)
    })
  }

  #cut(name: string, size: number): void {
    this.#onFile(name, (node) => {
      const change = [words(FATTR_SIZE, 0, 0n, BigInt(size), 0n, 0n, 0n, 0n, 0, 0, 0, 0, 0, 0, 0, 0)]
      if (!this.#isDone(this.#ask(O.SETATTR, change, node))) return
      const after = Buffer.alloc(size)
      present(this.#files.get(name), "file of the model").copy(after)
      this.#files.set(name, after)
    })
  }

  #unlink(name: string): void {
    if (this.#isDone(this.#ask(O.UNLINK, [z(name)], this.#directory), ENOENT)) this.#files.delete(name)
  }

  #rename(from: string, to: string): void {
    const head = words(BigInt(this.#directory), 0, 0)
    if (!this.#isDone(this.#ask(O.RENAME2, [head, z(from), z(to)], this.#directory), ENOENT) || from === to)
      return
    this.#files.set(to, present(this.#files.get(from), "file of the model"))
    this.#files.delete(from)
  }

  #snapshot(): void {
    if (this.#snapshots.size === MOST_SNAPSHOTS) return
    const name = `s${(this.#made += 1)}`
    const order = { name, path: Buffer.from("/top"), isWritable: false }
    this.#between(() => createSnapshot(this.#server.env, order))
    if (this.#server.store.snapshots.find(name) !== undefined) this.#snapshots.set(name, new Map(this.#files))
  }

  #deleteSnapshot(): void {
    const [name] = this.#snapshots.keys()
    if (name === undefined) return
    this.#between(() => deleteSnapshot(this.#server.env, name))
    if (this.#server.store.snapshots.find(name) === undefined) this.#snapshots.delete(name)
    this.#remove(this.#random.below(4))
  }

  /** What deleted snapshots held, in slices; perhaps not all of it now. */
  #remove(slices: number): void {
    for (let slice = 0; slice < slices; slice += 1)
      if (!this.#between(() => void new Removal(this.#server.env).slice(3))) return
  }

  #restore(): void {
    const [name] = this.#snapshots.keys()
    if (name === undefined) return
    const before = this.#contentsOf(this.#inode(this.#directory))
    const order = { name, path: Buffer.from("/top"), isForced: true }
    this.#between(() => restore(this.#server.env, order))
    const [old, now] = [
      present(this.#snapshots.get(name), "snapshot"),
      this.#contentsOf(this.#inode(this.#directory)),
    ]
    if (isEqual(now, old)) this.#files = new Map(old)
    else if (!isEqual(now, before)) throw new Error("a snapshot was restored by half")
  }

  #clean(): void {
    this.#between(() => {
      this.#server.store.clean(SLICE_BYTES)
      this.#server.store.commit()
    })
    this.#deleteSegments()
  }

  /** As the sync worker does, when the commits that emptied them are on the disk. */
  #deleteSegments(): void {
    const { store } = this.#server
    for (const id of store.takeDeadSegments())
      rmSync(segmentPath(join(store.directory, SEGMENTS), id), { force: true })
  }

  #inode(ino: number): Inode {
    return present(this.#server.store.inodes.get(ino as NodeId), "inode")
  }

  #contentsOf(directory: Inode): Files {
    const { store } = this.#server
    const names = store.dentries.list(directory.ino, 0, 100)
    return new Map(names.map(({ name, ino }) => [name.toString(), readFile(store, this.#inode(ino))]))
  }

  /** What is not as programs were told; empty when all is well. */
  differences(): string[] {
    const { store } = this.#server
    const wrong = isEqual(this.#contentsOf(this.#inode(this.#directory)), this.#files) ? [] : ["the files"]
    const listed = store.snapshots.all()
    if (listed.length !== this.#snapshots.size) wrong.push("the list of snapshots")
    for (const { name, root } of listed)
      if (!isEqual(this.#contentsOf(this.#inode(root)), this.#snapshots.get(name)))
        wrong.push(`the snapshot ${name}`)
    return wrong
  }

  /** The disk has room again, what is deleted goes, and the log is cleaned. Returns its bytes, and those that files need. */
  comeToRest(): { taken: number; live: number; segments: number } {
    disk.isFull = false
    this.#kill()
    this.#untilDone(() => new Removal(this.#server.env).slice(100) > 0)
    // Unlinked files give their bytes back when they are buried.
    this.#untilDone(() => {
      this.#server.store.settle()
      this.#server.store.garbage.wantAll()
      return false
    })
    this.#untilDone(() => {
      const { store } = this.#server
      const moved = store.clean(SLICE_BYTES)
      store.commit()
      return moved > 0
    })
    this.#untilDone(() => (this.#server.store.settle(), false))
    this.#deleteSegments()
    const { live } = this.#server.store.garbage.logSpace
    return { taken: logBytes(this.directory), live, segments: this.#server.store.counters.lastSegment }
  }

  /** However often the server is killed over it. */
  #untilDone(run: () => boolean): void {
    const last = { hasMore: true }
    while (last.hasMore) {
      const isRun = this.#between(() => (last.hasMore = run()))
      if (!isRun) last.hasMore = true
    }
  }

  [Symbol.dispose](): void {
    disk.isFull = false
    this.#server[Symbol.dispose]()
  }
}

const NOTHING = { length: 0, error: 0, unique: 0n, payload: Buffer.alloc(0) }

function isEqual(a: Files, b: Files | undefined): boolean {
  return a.size === b?.size && [...a].every(([name, bytes]) => b.get(name)?.equals(bytes) === true)
}

function logBytes(directory: string): number {
  const segments = join(directory, SEGMENTS)
  return readdirSync(segments).reduce((sum, name) => sum + statSync(join(segments, name)).size, 0)
}

/** A small disk's. */
const SEGMENT_BYTES = 4 * 1024 * 1024
const STEPS = 120
const KILLS_ONCE_IN = 25

export interface MixResult {
  readonly kills: number
  readonly refusals: number
  /** How many segments the log began. */
  readonly segments: number
  /** What is wrong, each with its seed. */
  readonly problems: readonly string[]
}

/** A line of progress so often. */
const TELL_MS = 20_000

/**
 * Mixes with the seeds from `first` on, until one goes wrong; each takes some 0.4 s. Now and then it says how far it is: a
 * run that was ended goes on with that CLAWFS_TEST_SEED. The test file must mock statfs(2): see `withSmallDisk`.
 */
export async function runMixes(first: number, mixes: number): Promise<MixResult> {
  let [kills, refusals, segments] = [0, 0, 0]
  const started = performance.now()
  let told = started
  for (let seed = first; seed < first + mixes; seed += 1) {
    // Reports, timeouts and signals are somebody else's turn.
    await setImmediate()
    using mix = new Mix(new Random(seed * 7919), KILLS_ONCE_IN)
    const problems: string[] = []
    for (let step = 1; step <= STEPS; step += 1) {
      mix.step()
      if (step % 40 === 0) problems.push(...mix.differences())
    }
    const rest = mix.comeToRest()
    problems.push(...mix.differences(), ...brokenInvariants(mix.directory))
    const { findings } = fsck({ directory: mix.directory, isOnline: true, repair: false })
    problems.push(...findings.map(({ kind, message }) => `${kind}: ${message}`))
    // The segment that is being filled is never cleaned; docs/FORMAT.md §2.
    if (rest.taken > 1.25 * rest.live + 2 * SEGMENT_BYTES)
      problems.push(`the log takes ${rest.taken} bytes, of which ${rest.live} are alive`)
    if (performance.now() - told > TELL_MS) {
      told = performance.now()
      const [done, seconds] = [seed + 1 - first, (told - started) / 1000]
      const each = (seconds / done).toFixed(2)
      process.stderr.write(`${done} of ${mixes} mixes, ${each} s each; go on: CLAWFS_TEST_SEED=${seed + 1}\n`)
    }
    kills += mix.kills
    refusals += mix.refusals
    segments += rest.segments
    if (problems.length > 0)
      return {
        kills,
        refusals,
        segments,
        problems: problems.map((each) => `CLAWFS_TEST_SEED=${seed}: ${each}`),
      }
  }
  return { kills, refusals, segments, problems: [] }
}
