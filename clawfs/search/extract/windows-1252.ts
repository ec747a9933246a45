/**
 * windows-1252, which the web also means by ISO-8859-1 and ASCII. Read here, because TextDecoder takes it for Latin 1 from Node 20.18.3 on
 * (nodejs/node#56542): quotes, dashes and the euro sign would be control characters.
 */

/** The characters of 0x80 to 0x9f; five of them have none. */
const C1 = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ"

/** The character of a byte from 0x80 to 0x9f. */
export function windows1252(byte: number): string {
  return C1.charAt(byte - 0x80)
}

export function decodeWindows1252(bytes: Buffer): string {
  return bytes.toString("latin1").replace(/[\x80-\x9f]/g, (character) => windows1252(character.charCodeAt(0)))
}
