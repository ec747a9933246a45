/** Character references of HTML and XML. Only fixed names and numbers: entities that a document declares are never expanded. */
import { windows1252 } from "./windows-1252.ts"

/** Names of U+00A0 to U+00FF in order (HTML 4.01 §24.2). */
const LATIN_1 =
  "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro para " +
  "middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig Ccedil Egrave " +
  "Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc " +
  "Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc euml igrave iacute icirc " +
  "iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml"

/** Greek letters from U+0391 and U+03B1 on; "-" where there is none. */
const GREEK =
  "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigmaf sigma tau upsilon phi chi psi omega"

const OTHERS: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  OElig: "Œ",
  oelig: "œ",
  Scaron: "Š",
  scaron: "š",
  Yuml: "Ÿ",
  fnof: "ƒ",
  circ: "ˆ",
  tilde: "˜",
  ensp: " ",
  emsp: " ",
  thinsp: " ",
  zwnj: "",
  zwj: "",
  lrm: "",
  rlm: "",
  ndash: "–",
  mdash: "—",
  lsquo: "‘",
  rsquo: "’",
  sbquo: "‚",
  ldquo: "“",
  rdquo: "”",
  bdquo: "„",
  dagger: "†",
  Dagger: "‡",
  bull: "•",
  hellip: "…",
  permil: "‰",
  prime: "′",
  Prime: "″",
  lsaquo: "‹",
  rsaquo: "›",
  euro: "€",
  trade: "™",
  larr: "←",
  uarr: "↑",
  rarr: "→",
  darr: "↓",
  harr: "↔",
  rArr: "⇒",
  forall: "∀",
  part: "∂",
  exist: "∃",
  sum: "∑",
  prod: "∏",
  minus: "−",
  radic: "√",
  infin: "∞",
  cap: "∩",
  cup: "∪",
  int: "∫",
  asymp: "≈",
  ne: "≠",
  equiv: "≡",
  le: "≤",
  ge: "≥",
  sub: "⊂",
  sup: "⊃",
  lang: "⟨",
  rang: "⟩",
  check: "✓",
  hyphen: "‐",
  newline: "\n",
  tab: "\t",
}

const named = new Map<string, string>([
  ...LATIN_1.split(" ").map((name, i): [string, string] => [name, String.fromCharCode(0xa0 + i)]),
  ...GREEK.split(" ").flatMap((name, i): [string, string][] => [
    [name, String.fromCharCode(0x3b1 + i)],
    [name.charAt(0).toUpperCase() + name.slice(1), String.fromCharCode(0x391 + i)],
  ]),
  ...Object.entries(OTHERS),
])
named.delete("Sigmaf")

/** `text` with its references replaced; unknown ones stay as they are. Soft hyphens go. */
export function decodeEntities(text: string): string {
  if (!text.includes("&")) return text
  return text.replace(/&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([a-zA-Z][a-zA-Z0-9]{1,9}));?/g, replaced)
}

function replaced(
  whole: string,
  decimal: string | undefined,
  hex: string | undefined,
  name: string | undefined,
): string {
  if (name !== undefined)
    return name === "shy" ? "" : (named.get(name) ?? named.get(name.toLowerCase()) ?? whole)
  const point = decimal === undefined ? Number.parseInt(hex ?? "", 16) : Number(decimal)
  // Pages mean windows-1252 by these numbers (WHATWG HTML §13.2.5.80).
  if (point >= 0x80 && point <= 0x9f) return windows1252(point)
  if (point === 0xad) return ""
  const isCharacter = point > 0 && point <= 0x10_ffff && (point < 0xd800 || point > 0xdfff)
  return isCharacter ? String.fromCodePoint(point) : "\ufffd"
}
