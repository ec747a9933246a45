/** What of a path goes into the table of names: words, also those inside of camelCase and file2name. */

/** Words of a name as one text for FTS5: the parts as they stand, and split where case or digits change. */
export function pathWords(name: string): string {
  const parts = name.split(/[^\p{L}\p{N}\p{M}]+/u).filter((part) => part !== "")
  const finer = parts.flatMap((part) => {
    const split = part.match(/\p{Lu}+(?!\p{Ll})|\p{Lu}?[\p{Ll}\p{M}]+|\p{N}+|[^\p{Lu}\p{Ll}\p{N}]+/gu) ?? []
    return split.length > 1 ? split : []
  })
  return [...parts, ...finer].join(" ")
}

/** Both as text; bytes that are no UTF-8 become U+FFFD, which is no word character. */
export function splitPath(path: Buffer): { directory: string; name: string } {
  const slash = path.lastIndexOf(0x2f)
  return {
    directory: slash < 0 ? "" : path.toString("utf8", 0, slash),
    name: path.toString("utf8", slash + 1),
  }
}

/** "gz" of "a/b.TAR.gz", "" of ".profile" and "Makefile"; lower case. */
export function extensionOf(path: Buffer): string {
  const { name } = splitPath(path)
  const dot = name.lastIndexOf(".")
  return dot > 0 ? name.slice(dot + 1).toLowerCase() : ""
}

/** The paths strictly below a directory: from `first`, below `end`, in the order of bytes. "": all. */
export function rangeBelow(directory: Buffer): { first: Buffer; end: Buffer } {
  if (directory.length === 0) return { first: Buffer.alloc(0), end: Buffer.of(0xff, 0xff) }
  // "/" is 0x2f and "0" 0x30: nothing but what is below lies between.
  return {
    first: Buffer.concat([directory, Buffer.of(0x2f)]),
    end: Buffer.concat([directory, Buffer.of(0x30)]),
  }
}
