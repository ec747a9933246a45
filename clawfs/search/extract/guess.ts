/**
 * Which of the older encodings a text is in, by a simple fact: in every language a few letters make up much of a text, and
 * read in a wrong encoding they turn into others. Each candidate has such letters; the one that finds most of them wins.
 */
import { TextDecoder } from "node:util"
import type { Encoding } from "./extraction.ts"
import { decodeWindows1252 } from "./windows-1252.ts"

interface Candidate {
  readonly label: string
  readonly form: "single-byte" | "multi-byte"
  /** Frequent characters outside of ASCII. */
  readonly letters: ReadonlySet<string>
  /** The share of them below which a text is not of this encoding. */
  readonly least: number
}

const candidate = (label: string, form: Candidate["form"], least: number, letters: string): Candidate => ({
  label,
  form,
  least,
  letters: new Set(letters),
})

const WESTERN_LABEL = "windows-1252"
const CYRILLIC = "оеаинтсрвлкмдпуяыьгзбчй"
const CENTRAL = "ąćęłńóśźżáčďéěíňřšťúůýžöüőűâăîșțşţäôľĺŕ"
const GREEK = "αοιετσνηυρπκμλςίόάέήύώ"
const WESTERN = "éèàçêâîôûëïùœäöüßñóíúáãõåæøÄÖÜÉ’“”‘–—…«»°§€£©ìòýÀÈÅØÆÇÑ¿¡"
const CHINESE =
  "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里，。、：；“”（）"
const TRADITIONAL =
  "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡，。、：；「」（）"
const JAPANESE = "のにはをたがでとしていなるもれさかいうあらこりきくませんっ、。ーンスルトイリアラ"
const KOREAN = "이다는에의가을를은지고로한하사기도서아나자인그시대리어해들만있었니을부스전정"

/** In the order of preference between equals. */
const CANDIDATES: readonly Candidate[] = [
  candidate("shift_jis", "multi-byte", 0.3, JAPANESE),
  candidate("euc-jp", "multi-byte", 0.3, JAPANESE),
  candidate("gb18030", "multi-byte", 0.2, CHINESE),
  candidate("big5", "multi-byte", 0.2, TRADITIONAL),
  candidate("euc-kr", "multi-byte", 0.3, KOREAN),
  candidate(WESTERN_LABEL, "single-byte", 0.6, WESTERN),
  candidate("windows-1251", "single-byte", 0.6, CYRILLIC),
  candidate("koi8-r", "single-byte", 0.6, CYRILLIC),
  candidate("ibm866", "single-byte", 0.6, CYRILLIC),
  candidate("windows-1250", "single-byte", 0.7, CENTRAL),
  candidate("iso-8859-2", "single-byte", 0.7, CENTRAL),
  candidate("windows-1253", "single-byte", 0.6, GREEK),
  candidate("iso-8859-7", "single-byte", 0.6, GREEK),
]

/** Of alphabets that share no letters with ASCII. */
const ownScripts = new Set(["windows-1251", "koi8-r", "ibm866", "windows-1253", "iso-8859-7"])

/** Where no candidate finds its letters: every byte has a character there. */
const FALLBACK: Encoding = { form: "single-byte", label: WESTERN_LABEL, bom: 0 }

/** Western letters that others have too decide nothing: whoever has more must have so many more. */
const MARGIN = 0.08

/** Texts are mostly words and blanks in any encoding. What has control bytes has been sorted out before. */
const PLAUSIBLE = 0.6

/** The encoding of a sample that is neither UTF-8 nor UTF-16, or undefined when it is no text at all. */
export function guessEncoding(sample: Buffer): Encoding | undefined {
  const isOwn = isOwnScript(sample)
  let best: { readonly score: number; readonly encoding: Encoding } | undefined
  for (const { label, form, letters, least } of CANDIDATES) {
    const score =
      form === "single-byte" && ownScripts.has(label) !== isOwn ? 0 : shareOf(sample, label, letters)
    const margin = best?.encoding.label === WESTERN_LABEL ? MARGIN : 0
    if (score < least || score <= (best?.score ?? 0) + margin) continue
    best = { score, encoding: { form, label, bom: 0 } }
  }
  if (best !== undefined) return best.encoding
  return looksLikeText(sample) ? FALLBACK : undefined
}

/** Whether bytes outside of ASCII stand next to each other, as in words of another alphabet; accented letters stand alone. */
function isOwnScript(sample: Buffer): boolean {
  let [all, together] = [0, 0]
  for (let at = 0; at < sample.length; at += 1) {
    if ((sample[at] ?? 0) < 0x80) continue
    all += 1
    if ((sample[at - 1] ?? 0) >= 0x80 || (sample[at + 1] ?? 0) >= 0x80) together += 1
  }
  return together * 2 > all
}

/** Which part of the characters outside of ASCII are in `letters`; 0 when the bytes are not of that encoding. */
function shareOf(sample: Buffer, label: string, letters: ReadonlySet<string>): number {
  const text = decodeStrictly(sample, label)
  if (text === undefined) return 0
  let [all, known] = [0, 0]
  for (const character of text) {
    if (character < "\x80") continue
    all += 1
    if (letters.has(character)) known += 1
  }
  return all === 0 ? 0 : known / all
}

/** The samples are cut anywhere, so up to four wrong characters are let pass, and none in a short text. */
const CUTS = 4

function decodeStrictly(sample: Buffer, label: string): string | undefined {
  if (label !== WESTERN_LABEL && decoderOf(label) === undefined) return undefined
  const text = decodeLegacy(sample, label)
  const wrong = text.match(/\ufffd/g)?.length ?? 0
  return wrong > (sample.length > 16_384 ? CUTS : 1) ? undefined : text
}

/** Bytes in an encoding that `guessEncoding` found. */
export function decodeLegacy(bytes: Buffer, label: string): string {
  return label === WESTERN_LABEL ? decodeWindows1252(bytes) : new TextDecoder(label).decode(bytes)
}

/** undefined where Node was built without the encoding (small-icu). */
function decoderOf(label: string): TextDecoder | undefined {
  try {
    return new TextDecoder(label)
  } catch {
    // Then such texts are read as windows-1252: their ASCII words are found.
    return undefined
  }
}

function looksLikeText(sample: Buffer): boolean {
  let plausible = 0
  for (const byte of sample)
    if (byte === 0x20 || byte === 0x0a || byte === 0x09 || byte === 0x0d || isAsciiWord(byte) || byte >= 0x80)
      plausible += 1
  return plausible >= sample.length * PLAUSIBLE
}

const isAsciiWord = (byte: number): boolean =>
  (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
