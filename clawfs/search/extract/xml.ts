/**
 * Reads XML as a row of tags and texts: no tree, no recursion, no DTD, no namespaces (a name is what stands behind its
 * prefix). Lenient: what is cut off or not well-formed gives what can be read of it. Time and memory are linear.
 */
import { decodeEntities } from "./entities.ts"

export interface XmlHandler {
  /** `attributes` is the raw text of the tag behind its name: see `attribute`. An empty element is opened and closed. */
  open(name: string, attributes: string): void
  close(name: string): void
  text(text: string): void
  /** Reading stops as soon as it is true. */
  readonly isDone?: boolean
}

export function readXml(xml: string, handler: XmlHandler): void {
  let at = 0
  while (at < xml.length && handler.isDone !== true) {
    const tag = xml.indexOf("<", at)
    if (tag !== at) handler.text(decodeEntities(tag < 0 ? xml.slice(at) : xml.slice(at, tag)))
    if (tag < 0) return
    at = readMarkup(xml, tag, handler)
  }
}

/** Handles what starts at `<`, and returns where the next text starts. */
function readMarkup(xml: string, at: number, handler: XmlHandler): number {
  if (xml.startsWith("<!--", at)) return behind(xml, "-->", at + 4)
  if (xml.startsWith("<![CDATA[", at)) {
    const end = xml.indexOf("]]>", at + 9)
    handler.text(xml.slice(at + 9, end < 0 ? xml.length : end))
    return end < 0 ? xml.length : end + 3
  }
  if (xml.startsWith("<?", at)) return behind(xml, "?>", at + 2)
  if (xml.startsWith("<!", at)) return behindDeclaration(xml, at + 2)
  const end = endOfTag(xml, at + 1)
  const tag = xml.slice(at + 1, end)
  if (tag.startsWith("/")) handler.close(localName(tag.slice(1).trim()))
  else {
    const isEmpty = tag.endsWith("/")
    const length = tag.search(/[\s/]/)
    const name = localName(length < 0 ? tag : tag.slice(0, length))
    handler.open(name, length < 0 ? "" : tag.slice(length, isEmpty ? -1 : undefined))
    if (isEmpty) handler.close(name)
  }
  return end + 1
}

function behind(xml: string, what: string, from: number): number {
  const found = xml.indexOf(what, from)
  return found < 0 ? xml.length : found + what.length
}

/** Passes a DOCTYPE with its internal subset unread: the entities in it are the ones that would explode. */
function behindDeclaration(xml: string, from: number): number {
  let depth = 0
  for (let at = from; at < xml.length; at += 1) {
    const character = xml.charCodeAt(at)
    if (character === OPEN_BRACKET) depth += 1
    else if (character === CLOSE_BRACKET) depth -= 1
    else if (character === DOUBLE || character === SINGLE) at = closing(xml, at)
    else if (character === GREATER && depth <= 0) return at + 1
  }
  return xml.length
}

const SPACE = 0x20
const EQUALS = 0x3d
const GREATER = 0x3e
const DOUBLE = 0x22
const SINGLE = 0x27
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d

/** Where the quote that opens at `at` closes. */
function closing(xml: string, at: number): number {
  const end = xml.indexOf(xml.charAt(at), at + 1)
  return end < 0 ? xml.length : end
}

/** The place of the `>` that ends a tag; one inside of an attribute's quotes does not. */
export function endOfTag(xml: string, from: number): number {
  let isValue = false
  for (let at = from; at < xml.length; at += 1) {
    const character = xml.charCodeAt(at)
    if (character === GREATER) return at
    // A quote elsewhere is a slip of the pen, and must not swallow the rest.
    if (isValue && (character === DOUBLE || character === SINGLE)) at = closing(xml, at)
    if (character > SPACE) isValue = character === EQUALS
  }
  return xml.length
}

function localName(name: string): string {
  return name.slice(name.indexOf(":") + 1)
}

/** The value of an attribute, by its name behind the prefix, out of a tag's raw text; "" when it is not there. */
export function attribute(attributes: string, name: string): string {
  for (const [, key = "", double, single] of attributes.matchAll(
    /(?:^|\s)([^\s=/"'<>]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g,
  ))
    if (localName(key) === name) return decodeEntities(double ?? single ?? "")
  return ""
}

/** The text inside of the first element of that name, "" when there is none. */
export function textOfElement(xml: string, name: string): string {
  let [isInside, isDone, found] = [false, false, ""]
  readXml(xml, {
    open: (opened) => {
      isInside ||= opened === name
    },
    close: (closed) => {
      isDone ||= isInside && closed === name
    },
    text: (text) => {
      if (isInside && !isDone) found += text
    },
    get isDone() {
      return isDone
    },
  })
  return found.trim()
}
