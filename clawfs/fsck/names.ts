/** Table `dentry`: every name stands in a directory, at its place, for an inode that is there and of its type. */
import { ROOT_NODE, type NodeId } from "../core/brand.ts"
import { Fault } from "../core/fault.ts"
import { Dentries } from "../store/dentries.ts"
import { Home, NO_TYPE } from "./inode-index.ts"
import { numberOf, PAGE, SAFE_LIMIT, change, rowsOf } from "./scan.ts"
import { Steps, type Pass } from "./pass.ts"
import { isCell, standIn } from "./sealed.ts"

type Row = [parent: number, cookie: number, name: Buffer, ino: number, type: number]

// The plus signs keep SQLite from searching by these conditions instead of by the key: each page would begin at the first.
const ALL = `SELECT parent, cookie, name, ino, type FROM dentry WHERE (parent, cookie) > (?, ?)
  AND +parent BETWEEN 0 AND ${SAFE_LIMIT - 1} AND +cookie BETWEEN 0 AND ${SAFE_LIMIT - 1}
  ORDER BY parent, cookie LIMIT ${PAGE}`

const NAME_MAX = 255
const SLASH = 0x2f

/** Goes through all names; afterwards the index knows how many each inode has, and one of them. */
export function checkNames(pass: Pass): void {
  const { db, onProgress, findings } = pass
  const steps = new Steps(onProgress, "names", numberOf(db, "SELECT count(*) FROM dentry") ?? 0)
  const checker = new NameChecker(pass)
  for (const row of rowsOf<Row>(db, ALL, [0, -1])) {
    checker.check(row)
    steps.step()
  }
  checker.finish()
  findings.namesAreKnown()
}

class NameChecker {
  readonly #pass: Pass
  readonly #dentries: Dentries
  /** Names that lookups don't find; moved when the scan is over, which would meet them again. */
  readonly #misplaced: Row[] = []
  #parent = -1
  #parentAt = -1

  constructor(pass: Pass) {
    this.#pass = pass
    this.#dentries = new Dentries(pass.db, pass.identity.seedA, pass.identity.seedB)
  }

  check(row: Row): void {
    const [parent, , name, ino] = row
    const { index, totals } = this.#pass
    totals.names += 1
    if (parent !== this.#parent) {
      this.#parent = parent
      this.#parentAt = index.find(parent)
      this.#dentries.clearCache()
    }
    if (this.#pass.sealed.has(parent) && !isCell(name))
      this.#pass.findings.add({
        kind: "name",
        entry: { parent, name: standIn(name) },
        message: `an encrypted name of ${name.length} bytes`,
      })
    const problem = this.#problemOf(row)
    if (problem !== undefined) {
      this.#remove(row, problem)
      return
    }
    // Where an encrypted name belongs only its key tells.
    const isSealed = this.#pass.sealed.has(parent)
    const found = isSealed ? { ino, cookie: row[1] } : this.#dentries.find(parent as NodeId, name)
    if (found !== undefined && found.cookie !== row[1]) {
      this.#remove(row, `the name is there twice, for inodes ${found.ino} and ${ino}`)
      return
    }
    const at = index.find(ino)
    if (!this.#count(row, at)) return
    this.#checkType(row, at)
    if (found === undefined) this.#misplaced.push(row)
  }

  /** Why the entry can't stay. */
  #problemOf([, , name, ino]: Row): string | undefined {
    const { index } = this.#pass
    if (this.#parentAt < 0) return `its directory, inode ${this.#parent}, does not exist`
    if (!index.isDirectory(this.#parentAt)) return `inode ${this.#parent}, which holds it, is no directory`
    const sealed = this.#pass.sealed.has(this.#parent)
    const problem = sealed ? undefined : this.#problemOfName(name)
    if (problem !== undefined) return problem
    if (ino === ROOT_NODE) return "it stands for the root"
    return index.find(ino) < 0 ? `it stands for inode ${ino}, which does not exist` : undefined
  }

  #problemOfName(name: Buffer): string | undefined {
    if (name.length === 0 || name.length > NAME_MAX) return `a name of ${name.length} bytes`
    if (name.includes(SLASH) || name.includes(0)) return "a name with a slash or a zero byte"
    const text = name.toString("latin1")
    return text === "." || text === ".." ? "a name that is kept for the directory itself" : undefined
  }

  #shown(parent: number, name: Buffer): Buffer {
    return this.#pass.sealed.has(parent) ? standIn(name) : name
  }

  #remove([parent, cookie, name]: Row, message: string): void {
    const { db, findings } = this.#pass
    findings.add({
      kind: "name",
      entry: { parent, name: this.#shown(parent, name) },
      message,
      repair: () => {
        change(db, "DELETE FROM dentry WHERE parent = ? AND cookie = ?", parent, cookie)
        this.#dentries.clearCache()
      },
    })
  }

  #checkType([parent, cookie, name, ino, type]: Row, at: number): void {
    const { db, findings, index } = this.#pass
    const right = index.type[at] ?? 0
    // An inode without a type is a finding of its own.
    if (type === right || right === NO_TYPE) return
    findings.add({
      kind: "name",
      ino,
      entry: { parent, name: this.#shown(parent, name) },
      message: `the entry has type ${type}, its inode ${right}`,
      repair: () =>
        change(db, "UPDATE dentry SET type = ? WHERE parent = ? AND cookie = ?", right, parent, cookie),
    })
  }

  /** False for a name that can't stay beside another one. */
  #count(row: Row, at: number): boolean {
    const { index } = this.#pass
    const [parent, cookie] = row
    index.isFilled[this.#parentAt] = 1
    const isSame = index.tree[this.#parentAt] === index.tree[at]
    index.home[at] = (index.home[at] ?? 0) | (isSame ? Home.SAME : Home.OTHER)
    if (index.isDirectory(at) && index.names[at] !== 0) return this.#second(row, at)
    index.names[at] = (index.names[at] ?? 0) + 1
    if (index.isDirectory(at)) add(index.subdirectories, this.#parentAt, 1)
    if (index.nameParent[at] === 0) {
      index.nameParent[at] = parent
      index.nameCookie[at] = cookie
    }
    return true
  }

  /** A second name of a directory: the one in the directory that it says it is in stays. */
  #second(row: Row, at: number): boolean {
    const { db, index } = this.#pass
    const [parent, cookie, name, ino] = row
    const [firstParent = 0, firstCookie = 0] = [index.nameParent[at], index.nameCookie[at]]
    const message = "a directory with two names"
    if (index.parent[at] !== parent || firstParent === parent) {
      this.#remove(row, message)
      return false
    }
    const first = db
      .query<[number, number], [Buffer, number]>(
        "SELECT name, type FROM dentry WHERE parent = ? AND cookie = ?",
      )
      .get(firstParent, firstCookie)
    this.#remove([firstParent, firstCookie, first?.[0] ?? name, ino, first?.[1] ?? 0], message)
    index.nameParent[at] = parent
    index.nameCookie[at] = cookie
    add(index.subdirectories, index.find(firstParent), -1)
    add(index.subdirectories, this.#parentAt, 1)
    return true
  }

  /** Moves names to where lookups look for them. */
  finish(): void {
    for (const row of this.#misplaced) {
      const [parent, cookie, name, ino] = row
      this.#pass.findings.add({
        kind: "name",
        ino,
        entry: { parent, name: this.#shown(parent, name) },
        message: `the entry is not where lookups look for it (cookie ${cookie})`,
        repair: () => this.#move(row),
      })
    }
    this.#strays()
  }

  #move([parent, cookie, name, ino]: Row): void {
    const { db, index } = this.#pass
    const at = index.find(ino)
    const type = index.type[at] === NO_TYPE ? 0 : (index.type[at] ?? 0)
    this.#dentries.clearCache()
    // Of two misplaced rows of one name the first has moved; the next pass finds what has no name then.
    const isTwin = this.#dentries.find(parent as NodeId, name) !== undefined
    if (!isTwin) this.#insert(parent, name, ino, type)
    change(db, "DELETE FROM dentry WHERE parent = ? AND cookie = ? AND name = ?", parent, cookie, name)
    const isFirst = index.nameParent[at] === parent && index.nameCookie[at] === cookie
    if (isFirst) index.nameCookie[at] = this.#dentries.find(parent as NodeId, name)?.cookie ?? 0
  }

  #insert(parent: number, name: Buffer, ino: number, type: number): void {
    try {
      this.#dentries.insert(parent as NodeId, name, ino as NodeId, type)
    } catch (cause) {
      // All its places are taken: by chance that does not happen, and a full disk is another matter.
      if (!(cause instanceof Fault && cause.cause === undefined)) throw cause
      throw new Fault("invalid", cause.message, { cause })
    }
  }

  /** Keys that no number of JavaScript is exact for: they are not part of the scan. */
  #strays(): void {
    const { db, findings } = this.#pass
    const where = `WHERE parent NOT BETWEEN 0 AND ${SAFE_LIMIT - 1} OR cookie NOT BETWEEN 0 AND ${SAFE_LIMIT - 1}`
    const count = numberOf(db, `SELECT count(*) FROM dentry ${where}`) ?? 0
    if (count === 0) return
    findings.add({
      kind: "name",
      message: `${count} directory entries have a directory or a cookie that no number of ours is`,
      repair: () => change(db, `DELETE FROM dentry ${where}`),
    })
  }
}

function add(counts: Uint32Array, at: number, by: number): void {
  if (at >= 0) counts[at] = (counts[at] ?? 0) + by
}
