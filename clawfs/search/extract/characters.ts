/** Strings are UTF-16: what is cut or comes from outside must not hold half of a character. */

const HIGH_FIRST = 0xd800
const HIGH_LAST = 0xdbff

/** The first `length` units of `text`, one less where that would split a surrogate pair. */
export function cutWhole(text: string, length: number): string {
  if (length >= text.length) return text
  const last = text.charCodeAt(length - 1)
  return text.slice(0, last >= HIGH_FIRST && last <= HIGH_LAST ? length - 1 : length)
}

/** Lone surrogates become U+FFFD, so that the text is the same after a way through UTF-8. */
export function wellFormed(text: string): string {
  return /[\ud800-\udfff]/.test(text) ? Buffer.from(text).toString() : text
}
