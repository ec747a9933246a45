/** `system/runs`: a file for each execution, written when it begins and again when it has ended. The oldest go. */
import * as fs from "node:fs"
import {
  chmodSync,
  closeSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs"
import { promisify } from "node:util"
import { randomBytes } from "node:crypto"
import { join } from "node:path"
import { type RunRecord } from "../../schema/run-record.ts"
import { describe } from "../core/fault.ts"
import type { Log } from "../core/log.ts"
import { setAttribute } from "../sys/xattr.ts"

const [open, write, rename] = [promisify(fs.open), promisify(fs.write), promisify(fs.rename)]

export const MOST_RECORDS = 1000
const NAME = /^\d{8}t\d{9}-[0-9a-f]{8}\.json$/

/** Sorts by time: "20261121t180312345-5f0c9a31". */
export function newRunId(now = new Date()): string {
  const digits = now
    .toISOString()
    .replace(/[-:.Z]/g, "")
    .toLowerCase()
  return `${digits}-${randomBytes(4).toString("hex")}`
}

/** Of a run that is not over. */
export interface BegunRecord {
  /** Writes how it ended. Once. */
  end(record: RunRecord): void
}

export class Records {
  readonly #directory: string
  readonly #log: Log
  readonly #names: string[]
  #isWritable = true

  /** Makes the directory where it is missing. What a runner that died had begun is completed by `complete`. */
  constructor(directory: string, log: Log) {
    this.#directory = directory
    this.#log = log
    try {
      if (makeDirectory(directory)) setAttribute(directory, "user.clawfs.index", "off")
      this.#names = readdirSync(directory)
        .filter((name) => NAME.test(name))
        .sort()
    } catch (thrown) {
      this.#names = []
      this.#giveUp(thrown)
    }
  }

  #giveUp(thrown: unknown): void {
    if (this.#isWritable) this.#log.error("runs of tools can't be recorded", { reason: describe(thrown) })
    this.#isWritable = false
  }

  /**
   * Writes the record of a run that has begun, in threads: the runner goes on meanwhile. It stays open, so that its end is one
   * request to the mount.
   */
  async begin(record: RunRecord): Promise<BegunRecord> {
    const path = this.#pathOf(record)
    const bytes = bytesOf(record)
    let fd: number | undefined
    try {
      fd = await open(`${path}.new`, "wx+", 0o444)
      await write(fd, bytes, 0, bytes.length, 0)
      await rename(`${path}.new`, path)
      this.#note(record)
    } catch (thrown) {
      this.#giveUp(thrown)
      if (fd !== undefined) closeSync(fd)
      fd = undefined
    }
    const begun = fd
    return { end: (ended) => this.#end(begun, bytes.length, ended) }
  }

  #end(fd: number | undefined, length: number, record: RunRecord): void {
    const bytes = bytesOf(record)
    if (fd === undefined || bytes.length < length) this.write(record)
    else
      try {
        // One write of less than a page: who reads sees the old or the new.
        writeSync(fd, bytes, 0, bytes.length, 0)
      } catch (thrown) {
        this.#giveUp(thrown)
      }
    if (fd !== undefined) closeSync(fd)
  }

  /** A record that can't be written is told to the log, once; the tool runs all the same. */
  write(record: RunRecord): void {
    const path = this.#pathOf(record)
    try {
      writeFileSync(`${path}.new`, bytesOf(record), { mode: 0o444 })
      renameSync(`${path}.new`, path)
      this.#note(record)
    } catch (thrown) {
      this.#giveUp(thrown)
    }
  }

  #pathOf({ run_id }: RunRecord): string {
    return join(this.#directory, `${run_id}.json`)
  }

  #note({ run_id }: RunRecord): void {
    this.#isWritable = true
    const name = `${run_id}.json`
    if (this.#names.at(-1) !== name && !this.#names.includes(name)) this.#names.push(name)
  }

  /** Removes the oldest ones above what is kept. */
  trim(): void {
    try {
      while (this.#names.length > MOST_RECORDS) {
        const oldest = this.#names.shift()
        if (oldest !== undefined) rmSync(join(this.#directory, oldest), { force: true })
      }
    } catch (thrown) {
      this.#giveUp(thrown)
    }
  }

  /** Ends the records of runs that an earlier runner had begun. Their sandboxes ended with it. */
  complete(): void {
    for (const name of [...this.#names]) {
      const record = this.#read(name)
      if (record?.state !== "running") continue
      this.write({
        ...record,
        state: "ended",
        ended_at: new Date().toISOString(),
        reason: "DAEMON_DIED",
        detail: "the daemon was killed, and the tool with it",
      })
    }
  }

  #read(name: string): RunRecord | undefined {
    try {
      return JSON.parse(readFileSync(join(this.#directory, name), "utf8")) as RunRecord
    } catch (thrown) {
      this.#log.info("a run's record can't be read", { name, reason: describe(thrown) })
      return undefined
    }
  }
}

function bytesOf(record: RunRecord): Buffer {
  return Buffer.from(`${JSON.stringify(record, undefined, 2)}\n`)
}

/** False when it is there already. `system` is closed to writing, for its owner too. */
function makeDirectory(directory: string): boolean {
  const parent = join(directory, "..")
  try {
    mkdirSync(directory, { mode: 0o755 })
    return true
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "EEXIST") return false
    if (code !== "EACCES" || statSync(parent).uid !== process.getuid?.()) throw cause
    const { mode } = statSync(parent)
    chmodSync(parent, mode | 0o200)
    try {
      mkdirSync(directory, { mode: 0o755 })
      return true
    } finally {
      chmodSync(parent, mode)
    }
  }
}
