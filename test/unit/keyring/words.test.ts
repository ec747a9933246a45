import { randomBytes } from "node:crypto"
import { expect, test } from "vitest"
import { WORDS, keyOfWords, wordsOf } from "../../../keyring/words.ts"

test("two bytes are the word that the paper gives for them", () => {
  // arXiv:0901.4016: 127.0.0.1 is lusab-babad, 63.84.220.193 is gutih-tugad.
  const key = Buffer.alloc(32)
  Buffer.from([127, 0, 0, 1, 63, 84, 220, 193]).copy(key)
  expect(wordsOf(key).slice(0, 5)).toEqual(["lusab", "babad", "gutih", "tugad", "babab"])
})

test("a key comes back from its words, however they are typed", () => {
  for (let i = 0; i < 200; i += 1) {
    const key = randomBytes(32)
    const words = wordsOf(key)
    expect(words).toHaveLength(WORDS)
    expect(keyOfWords(words.join(" "))).toEqual(key)
    expect(keyOfWords(`\n ${words.join("-").toUpperCase()},\r\n`)).toEqual(key)
  }
})

test("a mistake is noticed, and its place is told", () => {
  const words = wordsOf(Buffer.alloc(32, 0x5a))
  expect(() => keyOfWords(words.slice(1).join(" "))).toThrow("a recovery key has 17 words, not 16")
  expect(() => keyOfWords(words.with(4, "hello").join(" "))).toThrow("word 5 of the recovery key is misspelt")
  // One letter to another of its kind: only the checksum tells. 16 bits let one in 65,536 pass.
  let passed = 0
  let tried = 0
  for (let at = 0; at < WORDS; at += 1)
    for (const letter of "bdfghjklmnprstvz") {
      const word = letter + (words[at] ?? "").slice(1)
      if (word === words[at]) continue
      tried += 1
      try {
        keyOfWords(words.with(at, word).join(" "))
        passed += 1
      } catch (thrown) {
        expect(thrown).toMatchObject({ kind: "invalid" })
      }
    }
  expect(tried).toBe(WORDS * 15)
  expect(passed).toBe(0)
  const key = Buffer.from(Array.from({ length: 32 }, (_, i) => i))
  const [first = "", second = "", ...rest] = wordsOf(key)
  expect(() => keyOfWords([second, first, ...rest].join(" "))).toThrow(/wrong order/)
})
