/**
 * Porter's stemmer (M. F. Porter, "An algorithm for suffix stripping", 1980), the one that FTS5's `porter` applies too: "connected",
 * "connection" and "connecting" become "connect". Words with anything but a–z in them are left as they are.
 */

const isVowelAt = (word: string, i: number): boolean => {
  const letter = word[i] ?? ""
  return "aeiou".includes(letter) || (letter === "y" && i > 0 && !isVowelAt(word, i - 1))
}

/** How many times a vowel is followed by a consonant: Porter's m. */
function measure(stem: string): number {
  let count = 0
  for (let i = 1; i < stem.length; i++) if (isVowelAt(stem, i - 1) && !isVowelAt(stem, i)) count++
  return count
}

const hasVowel = (stem: string): boolean => Array.from(stem, (_, i) => isVowelAt(stem, i)).includes(true)

const endsDouble = (stem: string): boolean =>
  stem.length > 1 && stem.at(-1) === stem.at(-2) && !isVowelAt(stem, stem.length - 1)

/** Consonant, vowel, consonant at the end, the last not w, x or y: "hop", not "snow". */
function endsShort(stem: string): boolean {
  const n = stem.length
  return (
    n > 2 &&
    !isVowelAt(stem, n - 3) &&
    isVowelAt(stem, n - 2) &&
    !isVowelAt(stem, n - 1) &&
    !"wxy".includes(stem[n - 1] ?? "")
  )
}

/** Replaces the longest ending that the word has, if what is left of it has more than `above` measures. */
function replaceEnding(word: string, endings: Readonly<Record<string, string>>, above: number): string {
  for (let length = Math.min(LONGEST_ENDING, word.length); length > 0; length--) {
    const replacement = endings[word.slice(-length)]
    if (replacement === undefined) continue
    const stem = word.slice(0, -length)
    return measure(stem) > above ? stem + replacement : word
  }
  return word
}

const LONGEST_ENDING = 7

const STEP_2 = {
  ...{ ational: "ate", tional: "tion", enci: "ence", anci: "ance", izer: "ize", bli: "ble", alli: "al" },
  ...{ entli: "ent", eli: "e", ousli: "ous", ization: "ize", ation: "ate", ator: "ate", alism: "al" },
  ...{
    iveness: "ive",
    fulness: "ful",
    ousness: "ous",
    aliti: "al",
    iviti: "ive",
    biliti: "ble",
    logi: "log",
  },
}
const STEP_3 = { icate: "ic", ative: "", alize: "al", iciti: "ic", ical: "ic", ful: "", ness: "" }
const STEP_4 = Object.fromEntries(
  "al ance ence er ic able ible ant ement ment ent ou ism ate iti ous ive ize"
    .split(" ")
    .map((ending) => [ending, ""]),
)

function plural(word: string): string {
  if (word.endsWith("sses") || word.endsWith("ies")) return word.slice(0, -2)
  return word.endsWith("s") && !word.endsWith("ss") ? word.slice(0, -1) : word
}

function pastAndGerund(word: string): string {
  if (word.endsWith("eed")) return measure(word.slice(0, -3)) > 0 ? word.slice(0, -1) : word
  const ending = ["ed", "ing"].find((each) => word.endsWith(each))
  if (ending === undefined) return word
  const stem = word.slice(0, -ending.length)
  if (!hasVowel(stem)) return word
  if (/(at|bl|iz)$/.test(stem)) return `${stem}e`
  if (endsDouble(stem) && !/[lsz]$/.test(stem)) return stem.slice(0, -1)
  return measure(stem) === 1 && endsShort(stem) ? `${stem}e` : stem
}

function lastEndings(word: string): string {
  // "ion" goes only after s or t, so it is no row of the table.
  if (/[st]ion$/.test(word)) return measure(word.slice(0, -3)) > 1 ? word.slice(0, -3) : word
  return replaceEnding(word, STEP_4, 1)
}

function finalE(word: string): string {
  if (!word.endsWith("e")) return word
  const stem = word.slice(0, -1)
  const m = measure(stem)
  return m > 1 || (m === 1 && !endsShort(stem)) ? stem : word
}

function stemOf(word: string): string {
  if (word.length < 3 || !/^[a-z]+$/.test(word)) return word
  let stem = pastAndGerund(plural(word))
  if (stem.endsWith("y") && hasVowel(stem.slice(0, -1))) stem = `${stem.slice(0, -1)}i`
  stem = finalE(lastEndings(replaceEnding(replaceEnding(stem, STEP_2, 0), STEP_3, 0)))
  return stem.endsWith("ll") && measure(stem) > 1 ? stem.slice(0, -1) : stem
}

const MOST_KEPT = 50_000
const kept = new Map<string, string>()

/** The stem of a word in lower case. */
export function stem(word: string): string {
  const known = kept.get(word)
  if (known !== undefined) return known
  if (kept.size >= MOST_KEPT) kept.clear()
  const found = stemOf(word)
  kept.set(word, found)
  return found
}
