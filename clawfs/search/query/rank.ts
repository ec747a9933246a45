/** The best files of those that text, meaning and names have found. Only those that can be among them are looked at. */
import type { DocumentRow, IndexReader } from "../index/reader.ts"
import type { FusedFile } from "./fuse.ts"
import { isExactName, nameScore, NAME_WEIGHT, type NameScore } from "./names.ts"
import type { ParsedQuery } from "./parse.ts"

/** So many files are found by their names, and so many behind the wanted ones may be lifted by theirs. */
export const NAME_CANDIDATES = 50

export interface Candidates {
  /** Best first. */
  readonly files: readonly FusedFile[]
  /** Files whose names or titles match best. */
  readonly names: readonly number[]
  readonly limit: number
  readonly visible: (ino: number) => boolean
}

export interface RankedFile {
  readonly ino: number
  readonly document: DocumentRow
  readonly name: NameScore
  /** Undefined: it was found by its name alone. */
  readonly fused: FusedFile | undefined
  readonly score: number
}

/** Up to `limit` files that the caller may see, best first; of equal ones the one with the lower inode number. */
export function rankFiles(
  reader: IndexReader,
  parsed: ParsedQuery,
  { files, names, limit, visible }: Candidates,
): RankedFile[] {
  const best: RankedFile[] = []
  const looked = new Set<number>()
  /** Looks at a file. False: the caller may not see it. */
  const look = (ino: number, fused: FusedFile | undefined): boolean => {
    looked.add(ino)
    const lowest = best.length < limit ? 0 : (best.at(-1)?.score ?? 0)
    const isBehind = (fused?.score ?? 0) + NAME_WEIGHT < lowest
    if (isBehind && !isExactName(parsed.text, reader.paths(ino))) return true
    if (!visible(ino)) return false
    const document = reader.document(ino)
    if (document === undefined || document.paths.length === 0) return true
    const name = nameScore(parsed, document)
    const score = (fused?.score ?? 0) + name.score
    if (score > 0) best.push({ ino, document, name, fused, score })
    best.sort((a, b) => b.score - a.score || a.ino - b.ino)
    if (best.length > limit) best.pop()
    return true
  }
  let behind = limit + NAME_CANDIDATES
  for (const file of files) {
    if (behind === 0) break
    if (look(file.ino, file)) behind--
  }
  const known = new Map(files.map((file) => [file.ino, file]))
  for (const ino of names) if (!looked.has(ino)) look(ino, known.get(ino))
  return best
}
