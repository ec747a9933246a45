/** Text whose encoding something else names: a page's meta element, a message's Content-Type, an XML declaration. */
import { isUtf8 } from "node:buffer"
import { TextDecoder } from "node:util"
import { decode } from "./encoding.ts"
import { decodeWindows1252 } from "./windows-1252.ts"

/**
 * `bytes` in the named encoding; a byte order mark and valid UTF-8 with more than ASCII go before the name, which is often
 * wrong. A name that is unknown or missing is guessed; what is no text then is read as Latin 1.
 */
export function decodeNamed(bytes: Buffer, name: string): string {
  if (name !== "" && !isUtf8(bytes) && !hasMark(bytes)) {
    const decoder = decoderOf(name)
    if (decoder?.encoding === "windows-1252") return decodeWindows1252(bytes)
    if (decoder !== undefined) return decoder.decode(bytes)
  }
  return decode(bytes)?.text ?? (isUtf8(bytes) ? bytes.toString("utf8") : bytes.toString("latin1"))
}

const hasMark = (bytes: Buffer): boolean =>
  (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)

function decoderOf(name: string): TextDecoder | undefined {
  try {
    return new TextDecoder(name)
  } catch {
    // No such encoding: the caller guesses.
    return undefined
  }
}
