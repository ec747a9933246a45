/** What secrets of a source are called in the vault: its names are narrower (vault/metadata.ts). */
import { shortHash } from "../names.ts"

const MOST_PART = 48

/** `USER.PART.PART`; with a hash behind it when the names can't be read back from that. */
export function vaultName(user: string, ...parts: readonly string[]): string {
  const words = [user, ...parts]
  const slugs = words.map(slugOf)
  const isFaithful = words.every((word, at) => word.replaceAll("_", "-") === slugs[at] && !word.includes("-"))
  const name = slugs.join(".")
  return isFaithful ? name : `${name}-${shortHash(JSON.stringify(words)).slice(0, 8)}`
}

function slugOf(text: string): string {
  const slug = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, MOST_PART)
    .replace(/^-+|-+$/g, "")
  return slug === "" ? "x" : slug
}
