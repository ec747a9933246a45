/** A passphrase from a file, a descriptor or a terminal; never from the command line or the environment, which others see. */
import { closeSync, openSync, readSync, writeSync } from "node:fs"
import { Fault } from "../clawfs/core/fault.ts"
import { withoutEcho } from "../clawfs/sys/terminal-mode.ts"
import { readAll, readOwn, sourceOf } from "./key-file.ts"
import { newSecret, wipe } from "./secret.ts"
import { SourceKind, type KeySource } from "./slots.ts"

/** Longer ones are somebody's wrong file. */
const PASSPHRASE_MAX = 1024
const NEWLINE = 0x0a
const RETURN = 0x0d

type Wish = KeySource["kdf"]

/** The first line's end is not a part of the passphrase; a second line is a mistake. */
function passphraseOf(bytes: Buffer, from: string, kdf: Wish): KeySource {
  const newline = bytes.indexOf(NEWLINE)
  let end = newline < 0 ? bytes.length : newline
  if (newline >= 0 && bytes[newline - 1] === RETURN) end -= 1
  const isTooMuch = newline >= 0 && newline !== bytes.length - 1
  if (end === 0 || isTooMuch || end > PASSPHRASE_MAX) {
    wipe(bytes)
    const problem =
      end === 0 ? "is empty" : isTooMuch ? "has more than one line" : `is longer than ${PASSPHRASE_MAX} bytes`
    throw new Fault("invalid", `the passphrase from ${from} ${problem}`)
  }
  return sourceOf(SourceKind.PASSPHRASE, bytes.subarray(0, end), kdf)
}

export function readPassphraseFile(path: string, kdf?: Wish): KeySource {
  return passphraseOf(readOwn(path, "passphrase file"), path, kdf)
}

export function readPassphraseFd(fd: number, kdf?: Wish): KeySource {
  let bytes: Buffer
  try {
    bytes = readAll(fd, PASSPHRASE_MAX + 2)
  } catch (cause) {
    throw new Fault("invalid", `descriptor ${fd} can't be read`, { cause })
  }
  return passphraseOf(bytes, `descriptor ${fd}`, kdf)
}

/** Asks on the terminal, without showing what is typed; `twice` for a new one. Throws `Fault("invalid")` without one. */
export function askPassphrase(prompt: string, options: { twice: boolean; kdf?: Wish }): KeySource {
  const source = passphraseOf(askOnce(`${prompt}: `), "the terminal", options.kdf)
  if (!options.twice) return source
  const again = passphraseOf(askOnce("the same once more: "), "the terminal", undefined)
  const isSame = again.secret.equals(source.secret)
  again[Symbol.dispose]()
  if (isSame) return source
  source[Symbol.dispose]()
  throw new Fault("invalid", "the two passphrases differ")
}

function askOnce(prompt: string): Buffer {
  const fd = openTerminal()
  try {
    return withoutEcho(fd, () => {
      writeSync(fd, prompt)
      return readLine(fd)
    })
  } finally {
    writeSync(fd, "\n")
    closeSync(fd)
  }
}

function openTerminal(): number {
  try {
    return openSync("/dev/tty", "r+")
  } catch (cause) {
    throw new Fault("invalid", "there is no terminal to ask for the passphrase", {
      cause,
      hint: "give it with --passphrase-fd, --passphrase-file or --key-file",
    })
  }
}

const INTERRUPT = 0x03
const END = 0x04
const BACKSPACES: readonly number[] = [0x08, 0x7f]

/** Each key as it is pressed; the terminal edits nothing and sends no signals. */
function readLine(fd: number): Buffer {
  const line = newSecret(PASSPHRASE_MAX + 2)
  const key = newSecret(1)
  let length = 0
  for (;;) {
    const pressed = readSync(fd, key, 0, 1, null) === 0 ? END : (key[0] ?? END)
    if (pressed === RETURN || pressed === NEWLINE || pressed === END) return line.subarray(0, length)
    if (pressed === INTERRUPT) {
      wipe(line)
      throw new Fault("interrupted", "interrupted")
    }
    if (BACKSPACES.includes(pressed)) length = Math.max(0, length - 1)
    else if (length < line.length) line[length++] = pressed
  }
}
