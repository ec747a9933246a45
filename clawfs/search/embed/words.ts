/** Words of a text, as FTS5's unicode61 takes it apart: letters and digits, without marks, in lower case. */

/** English words that say nothing about what a text is about. */
export const STOP_WORDS: ReadonlySet<string> = new Set(
  `a about above after again against all am an and any are as at be because been before being below between both but by can
  could did do does doing don down during each few for from further had has have having he her here hers herself him himself
  his how i if in into is it its itself just me more most my myself no nor not now of off on once only or other our ours
  ourselves out over own same she should so some such t s than that the their theirs them themselves then there these they
  this those through to too under until up very was we were what when where which while who whom why will with would you
  your yours yourself yourselves`.split(/\s+/),
)

export function wordsOf(text: string): string[] {
  return plain(text).match(/[\p{L}\p{N}]+/gu) ?? []
}

/** Lower case without marks. Marks that belong to a letter go with Latin letters only, as in unicode61. */
function plain(text: string): string {
  // ASCII is most of what there is and needs no look-ups.
  if (/^[\x00-\x7f]*$/.test(text)) return text.toLowerCase()
  return text
    .replace(/[\u00c0-\u024f\u1e00-\u1eff]/g, (letter) => letter.normalize("NFD")[0] ?? letter)
    .replace(/[\u0300-\u036f]/g, "")
    .toLowerCase()
}
