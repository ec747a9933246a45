/**
 * A disk as a power cut may find it. What a completed sync covers is there. Whatever came later on the same file or in
 * the same directory is pending: all, nothing or some of it may be there, in any order, writes torn at sectors, sizes
 * unchanged. As on ext4, a sync of a file keeps its name too.
 */
import { directoryOf, type DiskOp, type Recording } from "./recording.ts"

export type DataOp = Extract<DiskOp, { op: "write" | "truncate" }>
export type NameOp = Extract<DiskOp, { op: "create" | "unlink" }>

export interface Pending<Op = DataOp | NameOp> {
  /** Its number in the recording. */
  readonly index: number
  readonly op: Op
}

const SECTOR = 512

/** What of a pending write is there: all, nothing, or the sectors for which `sectors` holds; and the size that it made. */
export type Kept =
  "all" | "nothing" | { readonly sectors: (sector: number) => boolean; readonly size: boolean }

interface Image {
  bytes: Buffer
  size: number
}

export class Disk {
  readonly #recording: Recording
  readonly #images = new Map<number, Image>()
  readonly #names = new Map<string, number>()
  #pending: Pending[] = []
  #at = 0

  constructor(recording: Recording, contentOf: (name: string) => Buffer) {
    this.#recording = recording
    for (const { name, file } of recording.initial) {
      const bytes = contentOf(name)
      this.#images.set(file, { bytes, size: bytes.length })
      this.#names.set(name, file)
    }
  }

  get pending(): readonly Pending[] {
    return this.#pending
  }

  /** Lets everything before operation `to` happen. */
  advance(to: number): void {
    for (; this.#at < to; this.#at += 1) {
      const op = this.#recording.ops[this.#at]
      if (op !== undefined) this.#take(op, this.#at)
    }
  }

  #take(op: DiskOp, index: number): void {
    switch (op.op) {
      case "mark":
        return
      case "write":
      case "truncate":
      case "create":
      case "unlink":
        this.#pending.push({ index, op })
        return
      case "sync": {
        const created = this.#pending.find((each) => each.op.op === "create" && each.op.file === op.file)
        const name = created?.op.op === "create" ? created.op.name : undefined
        this.#settle((each, at) => {
          if (each.op === "write" || each.op === "truncate") return each.file === op.file && at < op.since
          // a name that was made is there, so what had that name before is not
          return each.name === name && at <= (created?.index ?? -1) && at < op.since
        })
        return
      }
      case "syncDirectory":
        this.#settle((each, at) => "name" in each && directoryOf(each.name) === op.name && at < op.since)
    }
  }

  #settle(isCovered: (op: DataOp | NameOp, index: number) => boolean): void {
    this.#pending = this.#pending.filter(({ op, index }) => {
      if (!isCovered(op, index)) return true
      if (op.op === "write" || op.op === "truncate") this.#change(this.#image(op.file), op, "all")
      else rename(this.#names, op)
      return false
    })
  }

  #image(file: number): Image {
    const known = this.#images.get(file)
    if (known !== undefined) return known
    const image = { bytes: Buffer.alloc(0), size: 0 }
    this.#images.set(file, image)
    return image
  }

  #change(image: Image, op: DataOp, kept: Kept): void {
    if (kept === "nothing") return
    if (op.op === "truncate") {
      image.bytes.fill(0, Math.min(op.size, image.bytes.length))
      resize(image, op.size)
      return
    }
    const data = this.#recording.data.subarray(op.data, op.data + op.length)
    const end = op.at + op.length
    if (kept === "all") {
      resize(image, Math.max(image.size, end))
      data.copy(image.bytes, op.at)
      return
    }
    if (kept.size) resize(image, Math.max(image.size, end))
    for (let at = op.at; at < end;) {
      const sector = Math.floor(at / SECTOR)
      const next = Math.min(end, (sector + 1) * SECTOR)
      if (kept.sectors(sector)) {
        resize(image, Math.max(image.size, next))
        data.copy(image.bytes, at, at - op.at, next - op.at)
      }
      at = next
    }
  }

  /** The files of the store, with of the pending operations what `keep` says. */
  filesWith(keep: (pending: Pending) => Kept): Map<string, Buffer> {
    const names = new Map(this.#names)
    const copies = new Map<number, Image>()
    for (const each of this.#pending) {
      const { op } = each
      const kept = keep(each)
      if (op.op === "create" || op.op === "unlink") {
        if (kept !== "nothing") rename(names, op)
        continue
      }
      if (kept === "nothing") continue
      const copy = copies.get(op.file) ?? copyOf(this.#image(op.file))
      copies.set(op.file, copy)
      this.#change(copy, op, kept)
    }
    const files = new Map<string, Buffer>()
    for (const [name, file] of names) {
      const { bytes, size } = copies.get(file) ?? this.#image(file)
      files.set(name, bytes.subarray(0, size))
    }
    return files
  }
}

function rename(names: Map<string, number>, op: NameOp): void {
  if (op.op === "create") names.set(op.name, op.file)
  else names.delete(op.name)
}

function copyOf({ bytes, size }: Image): Image {
  return { bytes: Buffer.from(bytes.subarray(0, size)), size }
}

/** The buffer is longer than the file, so that it does not move with every append; behind the size it is zero. */
function resize(image: Image, size: number): void {
  if (size > image.bytes.length) {
    const bytes = Buffer.alloc(Math.ceil((size * 3) / 2))
    image.bytes.copy(bytes, 0, 0, image.size)
    image.bytes = bytes
  }
  image.size = size
}
