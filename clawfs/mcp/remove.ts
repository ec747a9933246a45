/** Deleting a directory with all that is in it, name by name relative to descriptors: no link is ever entered. */
import { constants } from "node:fs"
import { openBeneath, unlinkAt } from "../sys/beneath.ts"
import { Descriptor } from "../sys/descriptor.ts"
import { codeOf, explained } from "./failure.ts"
import { MOST_NAMES, namesIn } from "./listing.ts"
import { findAt, type Slot } from "./tree.ts"

const MOST_TRIES = 100
const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants

/** Removes what is at a slot. False if there is nothing. */
export function removeAll(slot: Slot): boolean {
  using found = findAt(slot)
  if (found === undefined) return false
  explained(slot.shown, () => remove(slot.directory, slot.name))
  return true
}

/** Somebody may exchange names for others meanwhile: then it is looked at again. */
function remove(directory: Descriptor, name: Buffer): void {
  for (let tries = 1; ; tries += 1) {
    try {
      removeAsFound(directory, name)
      return
    } catch (thrown) {
      const hasChanged = ["EISDIR", "ENOTDIR"].includes(codeOf(thrown) ?? "")
      if (!hasChanged || tries === MOST_TRIES) throw thrown
    }
  }
}

function removeAsFound(directory: Descriptor, name: Buffer): void {
  const inner = openDirectory(directory, name)
  if (inner === undefined) {
    unlinkQuietly(directory, name, false)
    return
  }
  using opened = inner
  for (let isMore = true; isMore;) {
    const names = namesIn(opened)
    for (const each of names) remove(opened, each)
    isMore = names.length > MOST_NAMES
  }
  unlinkQuietly(directory, name, true)
}

/** Undefined for what is no directory. */
function openDirectory(directory: Descriptor, name: Buffer): Descriptor | undefined {
  try {
    return new Descriptor(openBeneath(directory.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
  } catch (thrown) {
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes(codeOf(thrown) ?? "")) return undefined
    throw thrown
  }
}

/** Somebody else may have been quicker. */
function unlinkQuietly(directory: Descriptor, name: Buffer, isDirectory: boolean): void {
  try {
    unlinkAt(directory.fd, name, isDirectory)
  } catch (thrown) {
    if (codeOf(thrown) !== "ENOENT") throw thrown
  }
}
