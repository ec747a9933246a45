/**
 * Bodies that are not, or not only, those of the inode with their number: copies share them, and a file that was written
 * to after it was copied has a new one. What all say of their contents must be the same, and table `shared` counts them.
 */
import { DT_REG } from "./attributes.ts"
import { BodyTables, USER_COLUMNS, isUser, userOf, type UserRow } from "./body-tables.ts"
import { checkContents, reportMisfit, type ContentsRow, type Settled } from "./contents.ts"
import { numberOf, Companion, INO_LIMIT, PAGE, change, rowsOf } from "./scan.ts"
import { Steps, type Pass } from "./pass.ts"

/** The rest of one body's inodes, and those of the next ones: in two parts, as SQLite finds its place by one column. */
const MEMBERS = `WITH last (body, ino) AS (VALUES (?, ?))
  SELECT * FROM (${membersWhere("body = (SELECT body FROM last) AND ino > (SELECT ino FROM last)")})
  UNION ALL SELECT * FROM (${membersWhere("body > (SELECT body FROM last)")}) ORDER BY body, ino LIMIT ${PAGE}`

const SHARED = `SELECT body, refs FROM shared WHERE body > ? AND body < ${INO_LIMIT} ORDER BY body LIMIT ${PAGE}`

function membersWhere(condition: string): string {
  return `SELECT ${USER_COLUMNS} FROM inode WHERE ${condition} AND ino < ${INO_LIMIT} AND body != 0 AND body < ${INO_LIMIT}
    AND body != ino AND +ino > 0 ORDER BY body, ino LIMIT ${PAGE}`
}

/** What the inodes of a body say of it, by column. */
const COLUMNS = [
  ["size", "size"],
  ["alloc", "alloc"],
  ["inline_offset", "inlineOffset"],
  ["inline_length", "inlineLength"],
] as const satisfies readonly (readonly [string, keyof Settled])[]

/** To be called after the check of the inodes, which leaves these bodies out. */
export function checkBodies(pass: Pass): void {
  const checker = new BodyChecker(pass)
  const total = numberOf(pass.db, "SELECT count(*) FROM inode WHERE body != 0") ?? 0
  const steps = new Steps(pass.onProgress, "copies", total)
  let members: ContentsRow[] = []
  for (const row of rowsOf<UserRow>(pass.db, MEMBERS, [0, 0])) {
    const member = userOf(row)
    if (members[0] !== undefined && members[0].body !== member.body) {
      checker.check(members[0].body, members)
      members = []
    }
    members.push(member)
    steps.step()
  }
  if (members[0] !== undefined) checker.check(members[0].body, members)
  checker.finish()
}

/** Inodes that say the same of a body. */
interface Opinion {
  readonly users: ContentsRow[]
  /** How much of it the rows of the body bear out. */
  score: number
}

class BodyChecker {
  readonly #pass: Pass
  readonly #tables: BodyTables
  readonly #shared: Companion<[number, number]>

  constructor(pass: Pass) {
    this.#pass = pass
    this.#tables = new BodyTables(pass.db)
    this.#shared = new Companion(rowsOf<[number, number]>(pass.db, SHARED, [0]), (body) =>
      this.#reference(body, numberOf(pass.db, "SELECT refs FROM shared WHERE body = ?", body), [], true),
    )
  }

  /** `members`: the inodes of other numbers that have the body. */
  check(body: number, members: readonly ContentsRow[]): void {
    const owner = this.#tables.owner(body)
    const users = (owner === undefined ? members : [owner, ...members]).filter(isUser)
    const [refs] = [...this.#shared.of(body)]
    const right = users.length > 1 ? users.length : undefined
    const isCounted = refs?.[1] === right
    const opinions = this.#opinions(body, users)
    // One that differs, and is not counted, may have got the number by damage: it must not become one of them.
    const isSure = isCounted || opinions.length <= 1
    if (!isCounted) this.#reference(body, refs?.[1], users, isSure)
    if (users.length > 0) this.#contents(body, opinions, isCounted)
    // Something else than a file was copied: contents are a finding about that.
    else if (owner !== undefined) this.#count(checkContents(this.#pass, owner, this.#tables.rows(body)))
    else this.#leftovers(body)
  }

  /** Rows of bodies that no copy has, and of those that can't be. */
  finish(): void {
    const { db, findings } = this.#pass
    this.#shared.finish()
    const where = `body < 1 OR body >= ${INO_LIMIT}`
    const rows = numberOf(db, `SELECT count(*) FROM shared WHERE ${where}`) ?? 0
    if (rows === 0) return
    findings.add({
      kind: "leftover",
      message: `${rows} rows in table shared belong to inodes that can't exist`,
      repair: () => change(db, `DELETE FROM shared WHERE ${where}`),
    })
  }

  #reference(body: number, said: number | undefined, users: readonly ContentsRow[], isSure: boolean): void {
    const { db, findings } = this.#pass
    const count = users.length
    const ino = users[0]?.ino
    const counted = said === undefined ? "is not counted as shared" : `is counted as that of ${said} inodes`
    const real = count === 0 ? "no copy has it" : `${count} ${count === 1 ? "has" : "have"} it`
    const repair = (): void => {
      if (count > 1) change(db, "INSERT OR REPLACE INTO shared (body, refs) VALUES (?, ?)", body, count)
      else change(db, "DELETE FROM shared WHERE body = ?", body)
    }
    findings.add({
      kind: "shared",
      ...(ino === undefined ? {} : { ino }),
      message: `body ${body} ${counted}, ${real}`,
      ...(isSure ? { repair } : {}),
    })
  }

  #contents(body: number, [best, ...others]: readonly Opinion[], isCounted: boolean): void {
    const { findings } = this.#pass
    const [first, ...same] = best?.users ?? []
    if (best === undefined || first === undefined) return
    const before = findings.count
    const right = checkContents(this.#pass, first, this.#tables.rows(body))
    this.#count(right)
    const isSound = findings.count === before
    // What is wrong is so in every file.
    if (!isSound) for (const user of same) checkContents(this.#pass, user, this.#tables.rows(body), false)
    for (const other of others) {
      const isSure =
        isSound &&
        isCounted &&
        (best.score > other.score || (best.score === other.score && best.users.length > other.users.length))
      for (const user of other.users) this.#compare(user, right, isSure)
    }
  }

  #count({ alloc }: Settled): void {
    this.#pass.totals.bytes += alloc
  }

  /** The most likely one first. */
  #opinions(body: number, users: readonly ContentsRow[]): Opinion[] {
    const opinions = new Map<string, Opinion>()
    for (const user of users) {
      const key = [user.type === DT_REG, ...COLUMNS.map(([, name]) => user[name])].join()
      const opinion = opinions.get(key)
      if (opinion === undefined) opinions.set(key, { users: [user], score: 0 })
      else opinion.users.push(user)
    }
    const all = [...opinions.values()]
    if (all.length <= 1) return all
    const rows = this.#tables.rows(body)
    const sums = { inline: rows.inline ?? 0, stored: 0, end: 0 }
    for (const [, offset, length, segment] of rows.extents) {
      sums.stored += length
      if (segment !== 0) sums.end = Math.max(sums.end, offset + length)
    }
    for (const opinion of all) opinion.score = scoreOf(opinion.users[0], sums)
    return all.sort((a, b) => b.score - a.score || b.users.length - a.users.length)
  }

  #compare(user: ContentsRow, right: Settled, isSure: boolean): void {
    const { db, findings } = this.#pass
    let isSame = true
    for (const [column, name] of COLUMNS) {
      if (user[name] === right[name]) continue
      isSame = false
      const repair = (): void =>
        change(db, `UPDATE inode SET ${column} = ? WHERE ino = ?`, right[name], user.ino)
      findings.add({
        kind: "inode",
        ino: user.ino,
        message: `${column} ${user[name]}, but ${right[name]} in another file with the same contents`,
        ...(isSure ? { repair } : {}),
      })
    }
    if (user.type !== DT_REG && right.alloc > 0) reportMisfit(this.#pass, user, isSame && isSure)
  }

  #leftovers(body: number): void {
    const { db, findings } = this.#pass
    const { inline, extents } = this.#tables.rows(body)
    const tables = [
      ["inline", inline !== undefined],
      ["extent", extents[Symbol.iterator]().next().done !== true],
    ] as const
    for (const [table, isFilled] of tables)
      if (isFilled)
        findings.add({
          kind: "leftover",
          ino: body,
          message: `rows in table ${table} belong to inode ${body}, which does not exist`,
          repair: () => change(db, `DELETE FROM ${table} WHERE body = ?`, body),
        })
  }
}

function scoreOf(
  user: ContentsRow | undefined,
  { inline, stored, end }: { inline: number; stored: number; end: number },
): number {
  if (user === undefined) return 0
  const { type, size, alloc, inlineOffset, inlineLength } = user
  const isInside = inlineOffset >= 0 && inlineOffset + inlineLength <= size
  return [type === DT_REG, alloc === stored + inline, inlineLength === inline, isInside, size >= end].filter(
    Boolean,
  ).length
}
