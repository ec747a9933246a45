/**
 * Writing whole files: into a new file beside the old one, which then takes its name. Readers see the old text or the new,
 * also after a crash. The new file has mode and owner of the old one; other names of the old one (hard links) keep it.
 */
import { randomBytes } from "node:crypto"
import { constants, fchmodSync, fchownSync, fsyncSync, writeSync, type BigIntStats } from "node:fs"
import { Fault } from "../core/fault.ts"
import { openBeneath, renameAt, unlinkAt } from "../sys/beneath.ts"
import { Descriptor } from "../sys/descriptor.ts"
import { codeOf, explained } from "./failure.ts"
import { findAt, openFound, requireFile, type Slot } from "./tree.ts"

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_APPEND } = constants
/** What the umask leaves of it. */
const NEW_MODE = 0o666
const MODE_BITS = 0o7777
const PERMISSION_BITS = 0o777

/** What may be replaced: nothing, whatever file is there, or only the version that was read. */
export type Replacing = "nothing" | "any" | BigIntStats

/** Returns whether a file was replaced. Throws a `Fault`, and then nothing is changed. */
export function writeFile(slot: Slot, content: Buffer, replacing: Replacing): boolean {
  using old = findAt(slot)
  if (old !== undefined) requireReplaceable(slot, old.stat, replacing)
  const temporary = Buffer.from(`.clawfs-mcp-${randomBytes(8).toString("hex")}.tmp`)
  explained(slot.shown, () => {
    using file = create(slot, temporary, old === undefined ? NEW_MODE : constants.S_IRUSR | constants.S_IWUSR)
    try {
      writeAll(file, content)
      if (old !== undefined) adopt(file, old.stat)
      fsyncSync(file.fd)
      requireUnchanged(slot, replacing)
      renameAt(slot.directory.fd, temporary, slot.directory.fd, slot.name, old !== undefined)
    } catch (thrown) {
      unlinkAt(slot.directory.fd, temporary)
      throw codeOf(thrown) === "EEXIST" ? alreadyThere(slot) : thrown
    }
  })
  return old !== undefined
}

/** Adds to the end of a file, in one write; false if there is none. */
export function appendToFile(slot: Slot, content: Buffer): boolean {
  using found = findAt(slot)
  if (found === undefined) return false
  using file = openFound(found, slot.shown, O_WRONLY | O_APPEND)
  explained(slot.shown, () => writeAll(file, content))
  return true
}

function create(slot: Slot, name: Buffer, mode: number): Descriptor {
  return new Descriptor(openBeneath(slot.directory.fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode))
}

function requireReplaceable(slot: Slot, stat: BigIntStats, replacing: Replacing): void {
  requireFile(stat, slot.shown)
  if (replacing === "nothing") throw alreadyThere(slot)
}

function alreadyThere(slot: Slot): Fault {
  return new Fault("exists", `${slot.shown} exists`, {
    hint: "set overwrite to replace all of it, or use edit",
  })
}

/** The file that was read is still the one that is there, as it was. */
function requireUnchanged(slot: Slot, replacing: Replacing): void {
  if (typeof replacing === "string") return
  using now = findAt(slot)
  const isSame =
    now?.stat.ino === replacing.ino &&
    now.stat.dev === replacing.dev &&
    now.stat.mtimeNs === replacing.mtimeNs &&
    now.stat.size === replacing.size
  if (!isSame)
    throw new Fault("busy", `${slot.shown} was changed by somebody else meanwhile`, { hint: "read it again" })
}

function adopt(file: Descriptor, { uid, gid, mode }: BigIntStats): void {
  const own = file.stat()
  const isOwners = (own.uid === uid && own.gid === gid) || isGiven(file, Number(uid), Number(gid))
  // Behind the owner: a change of it takes away setuid and setgid, which no other owner may get.
  fchmodSync(file.fd, Number(mode) & (isOwners ? MODE_BITS : PERMISSION_BITS))
}

/** Whether the file could be given to its former owner. */
function isGiven(file: Descriptor, uid: number, gid: number): boolean {
  try {
    fchownSync(file.fd, uid, gid)
    return true
  } catch (thrown) {
    // Who may write into another's directory, but not give files away, becomes the file's owner.
    if (codeOf(thrown) === "EPERM") return false
    throw thrown
  }
}

function writeAll(file: Descriptor, content: Buffer): void {
  for (let at = 0; at < content.length;) at += writeSync(file.fd, content, at)
}
