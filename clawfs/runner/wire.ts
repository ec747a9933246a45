/**
 * What the launcher and the runner say to each other (launcher.c has the other side). The launcher sends a header with its
 * descriptors, then the text; later one byte for each signal. The runner answers once.
 */
import { isUtf8 } from "node:buffer"
import { Fault } from "../core/fault.ts"
import { Reader } from "../core/bytes.ts"

const MAGIC = 0x5457_4c43
export const WIRE_VERSION = 1
export const HEADER_BYTES = 32
/** Of the answer, before its text. */
export const HEAD_BYTES = 8
/** In the header's seventh word. */
const WANTS_OUTCOME = 1
/** As much as execve(2) takes, about. */
const MOST_TEXT = 4 * 1024 * 1024
const MOST_WORDS = 65_536

export interface Header {
  readonly textBytes: number
  readonly argc: number
  readonly envc: number
  /** Place of the script among the arguments that the tool is the interpreter of; its descriptor is the last one. */
  readonly script: number | undefined
  /** The answer's text is a `ToolOutcome`, not a line for stderr. */
  readonly wantsOutcome: boolean
}

/** Text, and bytes where they are none: names of files may be anything. */
export type Word = string | Buffer

export interface Words {
  readonly name: string
  /** The caller's working directory; empty when it can't be known. */
  readonly directory: Word
  /** Behind the program's own name. */
  readonly args: readonly Word[]
  readonly env: readonly string[]
}

export function readHeader(bytes: Buffer): Header {
  if (bytes.length < HEADER_BYTES) throw new Fault("invalid", "a header is cut off")
  const reader = new Reader(bytes)
  const [magic, version] = [reader.u32(), reader.u32()]
  if (magic !== MAGIC) throw new Fault("invalid", "this is no launcher")
  if (version !== WIRE_VERSION)
    throw new Fault("unsupported", `the launcher is of another version (${version})`, {
      hint: "install the tool again",
    })
  const [textBytes, argc, envc, script] = [reader.u32(), reader.u32(), reader.u32(), reader.u32()]
  const wantsOutcome = (reader.u32() & WANTS_OUTCOME) !== 0
  if (textBytes > MOST_TEXT || argc > MOST_WORDS || envc > MOST_WORDS || script > argc)
    throw new Fault("invalid", "arguments and environment are too long")
  return { textBytes, argc, envc, script: script === 0 ? undefined : script - 1, wantsOutcome }
}

export function readWords(text: Buffer, { argc, envc }: Header): Words {
  const words = wordsIn(text)
  // Behind the last NUL there is nothing.
  if (words.pop() !== "" || words.length !== 2 + argc + envc)
    throw new Fault("invalid", "the launcher's words are not as many as it says")
  const [name = "", directory = "", ...rest] = words
  // Of the environment language, time and terminal are used, which are text.
  return { name: String(name), directory, args: rest.slice(0, argc), env: rest.slice(argc).map(String) }
}

function wordsIn(text: Buffer): Word[] {
  if (isUtf8(text)) return text.toString("utf8").split("\0")
  return text
    .toString("latin1")
    .split("\0")
    .map((word) => {
      const bytes = Buffer.from(word, "latin1")
      return isUtf8(bytes) ? bytes.toString("utf8") : bytes
    })
}

export function bytesOf(word: Word): Buffer {
  return typeof word === "string" ? Buffer.from(word) : word
}

/** The words as they are sent and kept: each with a NUL behind it. */
export function joinWords(words: readonly Word[]): Buffer {
  const end = Buffer.alloc(1)
  return Buffer.concat(
    words.map((word) => (typeof word === "string" ? Buffer.from(`${word}\0`) : Buffer.concat([word, end]))),
  )
}

/** The socket of the mount whose files have this device number (stat(2)). */
export function socketName(device: number): string {
  return `clawfs-tools/${device}`
}

/** A request as a launcher sends it, without a script, that wants an outcome. */
export function requestOf({ name, directory, args, env }: Words): { header: Buffer; text: Buffer } {
  const text = joinWords([name, directory, ...args, ...env])
  const header = Buffer.alloc(HEADER_BYTES)
  const words = [MAGIC, WIRE_VERSION, text.length, args.length, env.length, 0, WANTS_OUTCOME]
  words.forEach((word, at) => header.writeUInt32LE(word, 4 * at))
  return { header, text }
}

/** The one answer: the exit status, and what to print. */
export function answerOf(status: number, message: string): Buffer {
  const text = Buffer.from(message)
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32LE(status, 0)
  head.writeUInt32LE(text.length, 4)
  return Buffer.concat([head, text])
}
