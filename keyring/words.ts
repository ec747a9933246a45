/**
 * 32 random bytes as words that people can write down and type again: two bytes are a word of five letters, in turn a
 * consonant and a vowel (the "proquints" of D. S. Wilkerson, arXiv:0901.4016). A last word is a checksum.
 */
import { createHash } from "node:crypto"
import { Fault } from "../clawfs/core/fault.ts"
import { KEY_BYTES, newSecret, wipe } from "./secret.ts"

const CONSONANTS = "bdfghjklmnprstvz"
const VOWELS = "aiou"
const WORD = /^[bdfghjklmnprstvz][aiou][bdfghjklmnprstvz][aiou][bdfghjklmnprstvz]$/
/** 16 words of two bytes, and one to check them. */
export const WORDS = KEY_BYTES / 2 + 1

function checksum(key: Uint8Array): number {
  return createHash("sha256").update("clawfs/v1/recovery words\0").update(key).digest().readUInt16BE(0)
}

function wordOf(value: number): string {
  const letter = (letters: string, shift: number): string =>
    letters[(value >> shift) & (letters.length - 1)] ?? ""
  return (
    letter(CONSONANTS, 12) +
    letter(VOWELS, 10) +
    letter(CONSONANTS, 6) +
    letter(VOWELS, 4) +
    letter(CONSONANTS, 0)
  )
}

function valueOf(word: string): number {
  const [a = "", b = "", c = "", d = "", e = ""] = word
  return (
    (CONSONANTS.indexOf(a) << 12) |
    (VOWELS.indexOf(b) << 10) |
    (CONSONANTS.indexOf(c) << 6) |
    (VOWELS.indexOf(d) << 4) |
    CONSONANTS.indexOf(e)
  )
}

/** The words of a key of 32 bytes. They are a secret themselves, in strings: to be shown once and not kept. */
export function wordsOf(key: Buffer): string[] {
  const words: string[] = []
  for (let at = 0; at < KEY_BYTES; at += 2) words.push(wordOf(key.readUInt16BE(at)))
  return [...words, wordOf(checksum(key))]
}

/**
 * The key of words as people type them: in any case, with spaces, hyphens, commas or line breaks between them. Throws
 * `Fault("invalid")`, which names the place of a word that can't be, but never what was typed.
 */
export function keyOfWords(text: string): Buffer {
  const words = text
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter((word) => word !== "")
  if (words.length !== WORDS)
    throw new Fault("invalid", `a recovery key has ${WORDS} words, not ${words.length}`)
  const wrong = words.findIndex((word) => !WORD.test(word))
  if (wrong >= 0) throw new Fault("invalid", `word ${wrong + 1} of the recovery key is misspelt`)
  const key = newSecret()
  words.slice(0, -1).forEach((word, at) => key.writeUInt16BE(valueOf(word), 2 * at))
  if (checksum(key) === valueOf(words.at(-1) ?? "")) return key
  wipe(key)
  throw new Fault("invalid", "the recovery key has a wrong word, or two of them are in the wrong order")
}
