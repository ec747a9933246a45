/**
 * One request for a tool that is a file, `tools/NAME/invoke/ID.json`, and its answer, `ID.answer.json`, for programs that can write
 * and read files alone (docs/TOOLS.md). Whoever owns the file has asked. A request that is taken has another name, so that none
 * is taken twice; one that a daemon has left so is answered by the next.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  rmdirSync,
  writeSync,
  type Stats,
} from "node:fs"
import { randomUUID } from "node:crypto"
import { ToolRequest, type Output, type ToolAnswer, type ToolOutcome } from "../../schema/tool-answer.ts"
import { Fault, describe } from "../core/fault.ts"
import { refusal } from "./outcome.ts"

const REQUEST = /^([A-Za-z0-9][A-Za-z0-9._-]{0,99})\.json$/
const TAKEN = /^\.([A-Za-z0-9][A-Za-z0-9._-]{0,99})\.taken$/
const ANSWER = ".answer"
const MOST_BYTES = 1024 * 1024
const OTHERS_MAY_WRITE = 0o022

export const NOTHING: Output = { encoding: "utf8", data: "", truncated: false }

/** The request that a file is by its name; undefined for others, answers among them. */
export function requestId(file: string): string | undefined {
  const id = REQUEST.exec(file)?.[1]
  return id === undefined || id.endsWith(ANSWER) ? undefined : id
}

/** The one that a file is which a daemon has taken. */
export function takenId(file: string): string | undefined {
  return TAKEN.exec(file)?.[1]
}

export interface Asked {
  readonly request: ToolRequest
  readonly uid: number
  readonly gid: number
}

export class RequestFile {
  readonly id: string
  /** The directory, by a descriptor of the caller's. */
  readonly #directory: string
  #owner: Pick<Stats, "uid" | "gid"> | undefined

  constructor(directory: number, id: string) {
    this.#directory = `/proc/self/fd/${directory}`
    this.id = id
  }

  get #taken(): string {
    return `${this.#directory}/.${this.id}.taken`
  }

  /** False when it is not there any more. */
  take(): boolean {
    try {
      renameSync(`${this.#directory}/${this.id}.json`, this.#taken)
      return true
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return false
      throw thrown
    }
  }

  /** Known from `read`; for another object of the same request. */
  isFrom(owner: Pick<Stats, "uid" | "gid">): void {
    this.#owner = owner
  }

  /** Who asks for what. Throws `Fault` with a sentence for the answer. */
  read(): Asked {
    const fd = openNoLink(this.#taken)
    try {
      const stat = fstatSync(fd)
      this.#owner = stat
      if (!stat.isFile()) throw new Fault("invalid", "the request is no file")
      // Somebody else's file, or one that others can write to, does not say what its owner wants.
      if (stat.nlink !== 1) throw new Fault("denied", "the request has another name, too")
      if ((stat.mode & OTHERS_MAY_WRITE) !== 0)
        throw new Fault("denied", "others may write to the request", { hint: "chmod go-w" })
      return { request: parsed(contentOf(fd, stat.size)), uid: stat.uid, gid: stat.gid }
    } finally {
      closeSync(fd)
    }
  }

  /** The answer is for who has asked, and nobody else. */
  answer(outcome: ToolOutcome, stdout: Output, stderr: Output): void {
    const answer: ToolAnswer = { ...outcome, stdout, stderr }
    const temporary = `${this.#directory}/.${this.id}-${randomUUID()}`
    const fd = openSync(temporary, "wx", constants.S_IRUSR | constants.S_IWUSR)
    try {
      const bytes = Buffer.from(`${JSON.stringify(answer)}\n`)
      for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at)
      fchmodSync(fd, constants.S_IRUSR | constants.S_IWUSR)
      const owner = this.#owner
      if (owner !== undefined && owner.uid !== process.getuid?.()) fchownSync(fd, owner.uid, owner.gid)
      renameSync(temporary, `${this.#directory}/${this.id}${ANSWER}.json`)
    } catch (thrown) {
      rmSync(temporary, { force: true })
      throw thrown
    } finally {
      closeSync(fd)
      removeEntry(this.#taken)
    }
  }

  /** Of one that a daemon had taken when it died. */
  answerForDead(): void {
    try {
      this.read()
    } catch (thrown) {
      // Its owner is known if it is a file; what it says is of no use any more.
      if (!(thrown instanceof Fault) && (thrown as NodeJS.ErrnoException).code === "ENOENT") return
    }
    const { outcome } = refusal(new Fault("bug", "the daemon has ended, and the tool with it"))
    this.answer(outcome, NOTHING, NOTHING)
  }
}

function openNoLink(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ELOOP") throw cause
    throw new Fault("invalid", "the request is a link", { cause })
  }
}

/**
 * Of a directory where everybody may put what he likes: nothing is removed by a path that leads on from there. A directory with
 * something in it stays.
 */
export function removeEntry(path: string): void {
  try {
    if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true) rmdirSync(path)
    else rmSync(path, { force: true })
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ENOTEMPTY") throw thrown
  }
}

function contentOf(fd: number, size: number): string {
  if (size > MOST_BYTES) throw new Fault("invalid", "the request is longer than 1 MiB")
  const bytes = Buffer.alloc(MOST_BYTES + 1)
  let length = 0
  for (let got = -1; got !== 0 && length < bytes.length; length += got)
    got = readSync(fd, bytes, length, bytes.length - length, null)
  if (length > MOST_BYTES) throw new Fault("invalid", "the request is longer than 1 MiB")
  return bytes.toString("utf8", 0, length)
}

function parsed(text: string): ToolRequest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new Fault("invalid", `the request is not JSON: ${describe(cause)}`, { cause })
  }
  const request = ToolRequest.safeParse(value)
  if (request.success) return request.data
  const [issue] = request.error.issues
  const where = issue?.path.map(String).join(".") ?? ""
  throw new Fault("invalid", `the request: ${where === "" ? "" : `${where}: `}${issue?.message ?? "invalid"}`)
}
