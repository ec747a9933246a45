/** Whether a file that is there is what an archive has under its name. */
import { sumOfFile } from "./contents.ts"
import type { Attribute, Inode } from "./entry.ts"
import type { Located } from "./source.ts"

/** In what a file that is there differs, in the words of messages. */
export type Difference = "type" | "contents" | "target" | "device" | "mode" | "owner" | "time" | "attributes"

export interface Comparing {
  /** Nobody but root can give files to others. */
  readonly withOwner: boolean
  /** A directory's time changes with what is put into it. */
  readonly withTime: boolean
}

/** None: it is the same. `sha256`: what a file's bytes must be. */
export function differences(
  want: Inode,
  sha256: string | undefined,
  found: Located,
  { withOwner, withTime }: Comparing,
): Difference[] {
  if (found.type !== want.type) return ["type"]
  const have = found.entry(want.path)
  const isSameOwner = have.uid === want.uid && have.gid === want.gid
  const isSameDevice = have.major === want.major && have.minor === want.minor
  const differing: (Difference | false)[] = [
    want.type === "file" && !hasContents(found, have.size, want.size, sha256) && "contents",
    !have.target.equals(want.target) && "target",
    !isSameDevice && "device",
    want.type !== "symlink" && have.mode !== want.mode && "mode",
    withOwner && !isSameOwner && "owner",
    withTime && have.mtimeNs !== want.mtimeNs && "time",
    !sameAttributes(have.attributes, want.attributes) && "attributes",
  ]
  return differing.filter((each) => each !== false)
}

function hasContents(found: Located, size: number, wanted: number, sha256: string | undefined): boolean {
  if (size !== wanted) return false
  using file = found.open()
  return sumOfFile(file.fd, size) === sha256
}

function sameAttributes(have: readonly Attribute[], want: readonly Attribute[]): boolean {
  const isIn = ({ name, value }: Attribute): boolean =>
    have.some((other) => other.name.equals(name) && other.value.equals(value))
  return have.length === want.length && want.every(isIn)
}
