/**
 * The vault as a filesystem: `secrets/NAME` and `secrets/NAME.enc`, and documents about it. Who may read a value is decided at
 * each opening; the thread that opens waits in the kernel meanwhile, so it is still the one that it was (docs/VAULT.md).
 * Nothing is kept in the kernel's caches, neither names nor contents.
 */
import { ROOT_NODE, type NodeId } from "../../clawfs/core/brand.ts"
import { E, OK, isErrno, type Errno, type Result, type Status } from "../../clawfs/core/errno.ts"
import { Fault, errnoOfThrown } from "../../clawfs/core/fault.ts"
import { SetattrValid, type Attr, type InHeader, type SetattrIn, type Statfs } from "../../clawfs/fuse/abi.ts"
import type { DirentPacker } from "../../clawfs/fuse/dirent.ts"
import type { Creation, Handles, Operations, ReadRange } from "../../clawfs/fuse/operations.ts"
import type { Reply } from "../../clawfs/fuse/reply.ts"
import { checkName } from "../metadata.ts"
import { MOST_VALUE_BYTES } from "../vault.ts"
import { BACKUPS, BACKUPS_NODE, Nodes, SEALED, SECRETS, SECRETS_NODE, type Node } from "./nodes.ts"
import { Openings } from "./openings.ts"
import { DOCUMENTS, type VaultView } from "./vault-view.ts"

const S_IFDIR = 0o040000
const S_IFREG = 0o100000
const DIRECTORY_MODE = S_IFDIR | 0o700
const VALUE_MODE = S_IFREG | 0o600
const TEXT_MODE = S_IFREG | 0o400
const DT_DIR = 4
const DT_REG = 8
/** open(2) */
const O_ACCMODE = 3
const O_WRONLY = 1
const O_APPEND = 0o2000
const MILLI = 1000
const NANOS = 1_000_000
const NAME_MAX = 132

interface Listed {
  readonly name: string
  readonly node: NodeId
  readonly type: number
}

export class VaultFiles implements Operations, Disposable {
  readonly #view: VaultView
  readonly #owner: { readonly uid: number; readonly gid: number }
  readonly #nodes = new Nodes()
  readonly #openings = new Openings()
  readonly #began = Date.now()
  /** Of `secrets`, as of when the listing began. */
  #listed: readonly Listed[] = []

  /** `owner`: to whom everything belongs. */
  constructor(view: VaultView, owner: { readonly uid: number; readonly gid: number }) {
    this.#view = view
    this.#owner = owner
  }

  /** A fault of the vault as an errno; who may not know gets EACCES. */
  #attempt<T extends object | typeof OK>(work: () => T): T | Errno {
    try {
      return work()
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown
      return thrown.kind === "not-found" ? E.EACCES : errnoOfThrown(thrown)
    }
  }

  #attr(ino: NodeId, mode: number, size: number, times?: { created: number; changed: number }): Attr {
    const [born, changed] = [times?.created ?? this.#began, times?.changed ?? this.#began]
    const [seconds, nanos] = [Math.floor(changed / MILLI), (changed % MILLI) * NANOS]
    return {
      ...{ ino, mode, size, blocks: 0, nlink: (mode & S_IFDIR) === 0 ? 1 : 2, rdev: 0, ...this.#owner },
      ...{ atime: seconds, mtime: seconds, ctime: seconds },
      ...{ atimeNanos: nanos, mtimeNanos: nanos, ctimeNanos: nanos },
      ...{ btime: Math.floor(born / MILLI), btimeNanos: (born % MILLI) * NANOS },
    }
  }

  #attrOf(ino: NodeId, node: Node): Result<Attr> {
    switch (node.kind) {
      case "root":
      case "secrets":
      case "backups":
        return this.#attr(ino, DIRECTORY_MODE, 0)
      case "document": {
        const text = this.#view.document(node.name)
        return text === undefined ? E.ENOENT : this.#attr(ino, TEXT_MODE, text.length)
      }
      case "sealed": {
        const [text, stat] = [this.#view.sealed(node.name), this.#view.stat(node.name)]
        return text === undefined ? E.ENOENT : this.#attr(ino, TEXT_MODE, text.length, stat)
      }
      case "value": {
        const [writer] = this.#openings.writers(node.name)
        const stat = this.#view.stat(node.name)
        if (stat === undefined && writer === undefined) return E.ENOENT
        return this.#attr(ino, VALUE_MODE, writer?.length ?? stat?.bytes ?? 0, stat)
      }
    }
  }

  /** The number of a name in a directory, whether or not there is anything. */
  #numberOf(directory: Node["kind"], name: string): NodeId | undefined {
    if (directory === "root") {
      if (name === SECRETS) return SECRETS_NODE
      if (name === BACKUPS) return BACKUPS_NODE
      const document = DOCUMENTS.find((each) => each === name)
      return document === undefined ? undefined : Nodes.document(document)
    }
    if (directory !== "secrets") return undefined
    const secret = name.endsWith(SEALED) ? name.slice(0, -SEALED.length) : name
    // Only what exists gets a number: a name that is asked for and not there costs nothing.
    const isThere = this.#view.stat(secret) !== undefined || !this.#openings.writers(secret).next().done
    return isThere ? this.#nodes.secret(name === secret ? "value" : "sealed", secret) : undefined
  }

  lookup({ node }: InHeader, name: Buffer): Result<Attr> {
    const directory = this.#nodes.get(node)
    if (directory === undefined) return E.ESTALE
    const number = this.#numberOf(directory.kind, name.toString("latin1"))
    const found = number === undefined ? undefined : this.#nodes.get(number)
    return number === undefined || found === undefined ? E.ENOENT : this.#attrOf(number, found)
  }

  isAbsenceKept(): boolean {
    return false
  }

  forget(): void {
    // Numbers stay as they are until the vault is locked.
  }

  getattr({ node }: InHeader): Result<Attr> {
    const found = this.#nodes.get(node)
    return found === undefined ? E.ESTALE : this.#attrOf(node, found)
  }

  /** Emptying a value that is being written is all that can be set. */
  setattr(request: InHeader, { valid, size }: SetattrIn): Result<Attr> {
    const node = this.#nodes.get(request.node)
    if (node === undefined) return E.ESTALE
    if (node.kind !== "value" || (valid & SetattrValid.SIZE) === 0 || size !== 0) return E.EPERM
    if ((valid & (SetattrValid.MODE | SetattrValid.UID | SetattrValid.GID)) !== 0) return E.EPERM
    for (const writer of this.#openings.writers(node.name)) writer.length = 0
    return this.#attrOf(request.node, node)
  }

  readonly handles: Handles = {
    open: (request, flags) => this.#open(request, flags),
    create: (request, name, creation) => this.#create(request, name, creation),
    read: (handle, range, reply) => this.#read(handle, range, reply),
    write: (handle, offset, data) => this.#write(handle, offset, data),
    flush: (handle) => this.#flush(handle),
    release: (handle) => this.#openings.release(handle),
  }

  #open(request: InHeader, flags: number): Result<{ readonly handle: number }> {
    const node = this.#nodes.get(request.node)
    if (node === undefined) return E.ESTALE
    const writes = (flags & O_ACCMODE) !== 0
    switch (node.kind) {
      case "root":
      case "secrets":
      case "backups":
        return E.EISDIR
      case "document":
      case "sealed": {
        if (writes) return E.EACCES
        const text = node.kind === "document" ? this.#view.document(node.name) : this.#view.sealed(node.name)
        return text === undefined ? E.ENOENT : { handle: this.#openings.ofText(text) }
      }
      case "value":
        return writes ? this.#openForWriting(request, node.name, flags) : this.#openValue(request, node.name)
    }
  }

  #openValue({ pid, uid }: InHeader, name: string): Result<{ readonly handle: number }> {
    return this.#attempt(() => {
      const caller = this.#callerOf(name, pid, uid, true)
      let handle = 0
      this.#view.reveal(name, caller, (value) => (handle = this.#openings.ofValue(value)))
      return { handle }
    })
  }

  /** A value is written as a whole: not changed in places, not appended to, not read meanwhile. */
  #openForWriting(request: InHeader, name: string, flags: number): Result<{ readonly handle: number }> {
    if ((flags & O_ACCMODE) !== O_WRONLY || (flags & O_APPEND) !== 0) return E.EOPNOTSUPP
    return this.#attempt(() => {
      const caller = this.#callerOf(name, request.pid, request.uid, false)
      return { handle: this.#openings.forWriting(name, caller) }
    })
  }

  #callerOf(name: string, tid: number, uid: number, inFull: boolean): ReturnType<VaultView["callerOf"]> {
    try {
      return this.#view.callerOf(tid, uid, inFull)
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown
      return this.#view.refuse(name, { uid, pid: tid }, thrown.message)
    }
  }

  #create(
    request: InHeader,
    bytes: Buffer,
    creation: Creation & { readonly flags: number },
  ): Result<{ readonly attr: Attr; readonly handle: number }> {
    if (this.#nodes.get(request.node)?.kind !== "secrets") return E.EPERM
    const name = bytes.toString("latin1")
    const opened = this.#attempt(() => {
      checkName(name)
      return { handle: 0 }
    })
    if (isErrno(opened)) return opened
    const made = this.#openForWriting(request, name, creation.flags)
    if (isErrno(made)) return made
    const number = this.#nodes.secret("value", name)
    const attr = this.#attrOf(number, { kind: "value", name })
    return isErrno(attr) ? attr : { attr, handle: made.handle }
  }

  #read(handle: number, { offset, size }: ReadRange, reply: Reply): Status {
    const opening = this.#openings.get(handle)
    if (opening === undefined || opening.writes !== undefined) return E.EBADF
    const end = Math.min(opening.length, offset + size)
    if (offset < end) reply.writer.put(opening.bytes.subarray(offset, end))
    return OK
  }

  #write(handle: number, offset: number, data: Buffer): Status {
    const opening = this.#openings.get(handle)
    if (opening?.writes === undefined) return E.EBADF
    if (offset > opening.length) return E.EINVAL
    if (offset + data.length > MOST_VALUE_BYTES) return E.EFBIG
    data.copy(opening.bytes, offset)
    opening.length = Math.max(opening.length, offset + data.length)
    opening.isDirty = true
    return OK
  }

  #flush(handle: number): Status {
    const opening = this.#openings.get(handle)
    if (opening === undefined) return E.EBADF
    const { writes } = opening
    if (writes === undefined || !opening.isDirty) return OK
    return this.#attempt(() => {
      this.#view.store(writes.name, writes.caller, opening.bytes.subarray(0, opening.length))
      opening.isDirty = false
      return OK
    })
  }

  opendir(): number {
    return 0
  }

  releasedir(): void {
    // There are no handles of directories.
  }

  readdir({ node }: InHeader, cookie: number, packer: DirentPacker): Status {
    const directory = this.#nodes.get(node)
    if (directory === undefined) return E.ESTALE
    const entries = this.#entriesOf(directory, cookie)
    if (entries === undefined) return E.ENOTDIR
    const all = [{ name: ".", node, type: DT_DIR }, { name: "..", node: ROOT_NODE, type: DT_DIR }, ...entries]
    for (let at = cookie; at < all.length; at += 1) {
      const entry = all[at]
      if (
        entry === undefined ||
        !packer.add(Buffer.from(entry.name, "latin1"), entry.node, entry.type, at + 1)
      )
        break
    }
    return OK
  }

  #entriesOf({ kind }: Node, cookie: number): readonly Listed[] | undefined {
    switch (kind) {
      case "root":
        return [
          { name: SECRETS, node: SECRETS_NODE, type: DT_DIR },
          { name: BACKUPS, node: BACKUPS_NODE, type: DT_DIR },
          ...DOCUMENTS.filter((name) => this.#view.document(name) !== undefined).map((name) => ({
            ...{ name, node: Nodes.document(name), type: DT_REG },
          })),
        ]
      case "backups":
        return []
      case "secrets":
        if (cookie === 0)
          this.#listed = this.#view.names().flatMap((name) => [
            { name, node: this.#nodes.secret("value", name), type: DT_REG },
            { name: name + SEALED, node: this.#nodes.secret("sealed", name), type: DT_REG },
          ])
        return this.#listed
      default:
        return undefined
    }
  }

  statfs(): Result<Statfs> {
    return { blocks: 0, blocksFree: 0, blocksAvailable: 0, files: 0, filesFree: 0, nameMax: NAME_MAX }
  }

  fsync(): Status {
    return OK
  }

  syncfs(): Status {
    return OK
  }

  getxattr(): Result<Uint8Array> {
    return E.ENODATA
  }

  listxattr(): Result<Uint8Array> {
    return Buffer.alloc(0)
  }

  open(): Status {
    return E.EIO
  }

  read(): Status {
    return E.EIO
  }

  write(): Status {
    return E.EIO
  }

  readlink(): Result<Uint8Array> {
    return E.EINVAL
  }

  symlink(): Result<Attr> {
    return E.EPERM
  }

  mknod(): Result<Attr> {
    return E.EPERM
  }

  mkdir(): Result<Attr> {
    return E.EPERM
  }

  /** A recursive rm takes no secrets along: clawfs vault rm is for that. */
  unlink(): Status {
    return E.EPERM
  }

  rmdir(): Status {
    return E.EPERM
  }

  rename(): Status {
    return E.EPERM
  }

  link(): Result<Attr> {
    return E.EPERM
  }

  tmpfile(): Result<Attr> {
    return E.EOPNOTSUPP
  }

  setxattr(): Status {
    return E.EOPNOTSUPP
  }

  removexattr(): Status {
    return E.EOPNOTSUPP
  }

  fallocate(): Status {
    return E.EOPNOTSUPP
  }

  lseek(): Result<{ offset: number }> {
    return E.EINVAL
  }

  copyFileRange(): Result<{ copied: number }> {
    return E.EOPNOTSUPP
  }

  ioctl(): Result<Uint8Array> {
    return E.ENOTTY
  }

  destroy(): void {
    this[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    this.#openings[Symbol.dispose]()
  }
}
