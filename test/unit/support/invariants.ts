/** What must hold of every store after every commit, read with a connection of its own. */
import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { Database } from "../../../clawfs/store/database.ts"
import { META, SEGMENTS } from "../../../clawfs/store/store.ts"

const S_IFMT = 0o170000
const S_IFDIR = 0o040000
const S_IFREG = 0o100000

type Row = Readonly<Record<string, number>>

class Tables {
  readonly #db: Database
  constructor(db: Database) {
    this.#db = db
  }

  /** Rows of numbers as objects. */
  rows(columns: string, from: string): Row[] {
    const names = columns.split(", ").map((column) => column.split(" AS ").at(-1) ?? column)
    return this.#db
      .query<[], number[]>(`SELECT ${columns} FROM ${from}`)
      .all()
      .map((row) => Object.fromEntries(names.map((name, index) => [name, row[index] ?? 0])))
  }

  number(sql: string): number {
    return this.#db.query<[], [number]>(sql).get()?.[0] ?? 0
  }
}

/** A line for each rule that is broken; empty when all is well. */
export function brokenInvariants(directory: string): string[] {
  using db = new Database(join(directory, META), { readonly: true })
  const tables = new Tables(db)
  return [
    ...contents(tables),
    ...segments(tables, directory),
    ...names(tables),
    ...trees(tables),
    ...keys(tables),
    ...leftovers(tables),
  ]
}

/** Every inode of an encrypted tree has a key, wrapped by its tree's, and no other inode has one. */
function keys(tables: Tables): string[] {
  const trees = new Map(tables.rows("id, parent, key", "tree").map((row) => [row["id"] ?? 0, row]))
  const wanted = new Map<number, number>()
  for (const { ino = 0, tree = 0, body = 0 } of tables.rows("ino, tree, body", "inode")) {
    let at = trees.get(tree)
    while (at?.["key"] === 0) at = trees.get(at["parent"] ?? 0)
    if (at !== undefined) wanted.set(body === 0 ? ino : body, at["key"] ?? 0)
  }
  const found = new Map(
    tables.rows("body, key", "file_key").map((row) => [row["body"] ?? 0, row["key"] ?? 0]),
  )
  const broken = [...new Set([...wanted.keys(), ...found.keys()])].filter(
    (body) => wanted.get(body) !== found.get(body),
  )
  const unused = tables.number("SELECT count(*) FROM key WHERE id NOT IN (SELECT key FROM tree)")
  const slotless = tables.number("SELECT count(*) FROM key WHERE id NOT IN (SELECT key FROM key_slot)")
  return [
    ...broken.map((body) => `body ${body} has key ${found.get(body)}, its tree has ${wanted.get(body)}`),
    ...(unused === 0 ? [] : [`${unused} keys belong to no tree`]),
    ...(slotless === 0 ? [] : [`${slotless} keys have no slot`]),
  ]
}

function contents(tables: Tables): string[] {
  const broken: string[] = []
  const inodes = tables.rows(
    "ino, mode, size, alloc, inline_offset AS at, inline_length AS length, body AS other",
    "inode",
  )
  const extents = new Map<number, Row[]>()
  for (const row of tables.rows(
    "body, offset, length, segment, record, skip, plain",
    "extent ORDER BY body, offset",
  )) {
    const mine = extents.get(row["body"] ?? 0)
    if (mine === undefined) extents.set(row["body"] ?? 0, [row])
    else mine.push(row)
  }
  const inline = new Map(
    tables
      .rows(`body, length(data) - 28 * (body IN (SELECT body FROM file_key)) AS length`, "inline")
      .map((row) => [row["body"], row["length"]]),
  )
  const bodies = new Map<number, { alloc: number; users: number }>()
  for (const { ino = 0, mode = 0, alloc = 0, at = 0, length = 0, other = 0 } of inodes) {
    // Of others it only says what they were copied from.
    if ((mode & S_IFMT) !== S_IFREG) {
      if (alloc !== 0 || length !== 0) broken.push(`inode ${ino}: no file, and has contents`)
      continue
    }
    const body = other === 0 ? ino : other
    const known = bodies.get(body) ?? { alloc, users: 0 }
    if (known.alloc !== alloc) broken.push(`inode ${ino}: alloc is not that of others with its contents`)
    bodies.set(body, { alloc, users: known.users + 1 })
    const mine = extents.get(body) ?? []
    const total = mine.reduce((sum, extent) => sum + (extent["length"] ?? 0), length)
    if (total !== alloc) broken.push(`inode ${ino}: alloc ${alloc}, but ${total} bytes are stored`)
    if ((inline.get(body) ?? 0) !== length)
      broken.push(`inode ${ino}: inline length ${length} is not that of the row`)
    let end = 0
    for (const { offset = 0, length: size = 0, segment, record = 0, skip = 0, plain = 0 } of mine) {
      if (offset < end) broken.push(`inode ${ino}: extents overlap at ${offset}`)
      if (size <= 0) broken.push(`inode ${ino}: an extent at ${offset} is empty`)
      if (segment !== 0 && skip + size > (plain === 0 ? record : plain))
        broken.push(`inode ${ino}: extent at ${offset} leaves its record`)
      if (length > 0 && offset < at + length && at < offset + size)
        broken.push(`inode ${ino}: extent at ${offset} overlaps the inline piece`)
      end = offset + size
    }
  }
  const refs = new Map(tables.rows("body, refs", "shared").map((row) => [row["body"] ?? 0, row["refs"] ?? 0]))
  for (const body of new Set([...bodies.keys(), ...refs.keys()])) {
    const users = bodies.get(body)?.users ?? 0
    if ((refs.get(body) ?? 1) !== users && (users > 1 || refs.has(body)))
      broken.push(`body ${body}: ${refs.get(body) ?? 0} references are counted, there are ${users}`)
  }
  const sum = [...bodies.values()].reduce((total, body) => total + body.alloc, 0)
  const bytes = tables.number("SELECT bytes FROM state")
  if (sum !== bytes) broken.push(`state counts ${bytes} bytes, the inodes hold ${sum}`)
  return broken
}

function segments(tables: Tables, directory: string): string[] {
  const broken: string[] = []
  const stored =
    "CASE plain WHEN 0 THEN length ELSE (skip + length) * record / plain - skip * record / plain END"
  const live = new Map(
    tables
      .rows(`segment, sum(${stored}) AS length`, "extent WHERE segment != 0 GROUP BY segment")
      .map((row) => [row["segment"], row["length"]]),
  )
  const counted = new Map(tables.rows("id, live", "segment").map((row) => [row["id"], row["live"]]))
  for (const id of new Set([...live.keys(), ...counted.keys()])) {
    if ((live.get(id) ?? 0) !== (counted.get(id) ?? 0))
      broken.push(`segment ${id}: ${counted.get(id)} bytes counted as live, ${live.get(id)} are`)
  }
  const files = new Map(
    readdirSync(join(directory, SEGMENTS)).map((name) => [
      parseInt(name, 10),
      statSync(join(directory, SEGMENTS, name)).size,
    ]),
  )
  for (const { segment = 0, position = 0, record = 0 } of tables.rows(
    "segment, position, record",
    "extent WHERE segment != 0",
  )) {
    if (position + 80 + record > (files.get(segment) ?? 0))
      broken.push(`an extent points behind the end of segment ${segment}`)
  }
  return broken
}

function names(tables: Tables): string[] {
  const broken: string[] = []
  const inodes = new Map(
    tables.rows("ino, mode, nlink, parent", "inode").map((row) => [row["ino"] ?? 0, row]),
  )
  const isDirectory = (row: Row | undefined): boolean => ((row?.["mode"] ?? 0) & S_IFMT) === S_IFDIR
  const links = new Map<number, number>()
  const count = (ino: number, by: number): unknown => links.set(ino, (links.get(ino) ?? 0) + by)
  for (const { parent = 0, ino = 0, type } of tables.rows("parent, ino, type", "dentry")) {
    const [above, inode] = [inodes.get(parent), inodes.get(ino)]
    if (inode === undefined || !isDirectory(above))
      broken.push(`an entry of ${parent} names ${ino}: one is missing`)
    if (type !== (inode?.["mode"] ?? 0) >>> 12)
      broken.push(`an entry of ${parent} has the wrong type for ${ino}`)
    if (isDirectory(inode)) {
      if (inode?.["parent"] !== parent) broken.push(`directory ${ino} is in ${parent} and does not know it`)
      count(ino, 2)
      count(parent, 1)
    } else count(ino, 1)
  }
  count(1, 2)
  for (const [ino, row] of inodes) {
    if (row["nlink"] !== (links.get(ino) ?? 0) && row["nlink"] !== 0)
      broken.push(`inode ${ino}: nlink ${row["nlink"]}, but ${links.get(ino) ?? 0} links`)
    if (row["nlink"] === 0 && links.has(ino)) broken.push(`inode ${ino} has a name and nlink 0`)
  }
  const total = tables.number("SELECT inodes FROM state")
  if (total !== inodes.size) broken.push(`state counts ${total} inodes, there are ${inodes.size}`)
  return broken
}

/** What a tree holds is what its inodes and those of the trees in it take; everything is in the tree of its directory. */
function trees(tables: Tables): string[] {
  const broken: string[] = []
  const rows = new Map(
    tables
      .rows("id, parent, used_bytes AS bytes, used_inodes AS inodes", "tree")
      .map((row) => [row["id"] ?? 0, row]),
  )
  const held = new Map<number, [bytes: number, inodes: number]>()
  for (const { ino, tree = 0, alloc = 0 } of tables.rows("ino, tree, alloc", "inode")) {
    if (tree !== 0 && !rows.has(tree)) broken.push(`inode ${ino} is in tree ${tree}, which does not exist`)
    for (let at = tree; at !== 0; at = rows.get(at)?.["parent"] ?? 0) {
      const [bytes, inodes] = held.get(at) ?? [0, 0]
      held.set(at, [bytes + alloc, inodes + 1])
    }
  }
  for (const [id, { bytes, inodes }] of rows) {
    const [realBytes, realInodes] = held.get(id) ?? [0, 0]
    if (bytes !== realBytes || inodes !== realInodes || inodes === 0)
      broken.push(`tree ${id} counts ${bytes} bytes in ${inodes}, there are ${realBytes} in ${realInodes}`)
  }
  for (const { ino } of tables.rows(
    "i.ino AS ino",
    `dentry d JOIN inode i ON i.ino = d.ino JOIN inode p ON p.ino = d.parent
     WHERE i.tree != p.tree AND i.tree != i.ino AND p.ino NOT IN
       (SELECT ino FROM dentry WHERE parent = 1 AND name = CAST('lost+found' AS BLOB))`,
  ))
    broken.push(`inode ${ino} is in another tree than its directory`)
  return broken
}

/** Rows of inodes that are gone. */
function leftovers(tables: Tables): string[] {
  const keys = [
    ["extent", "body", "SELECT max(body, (body = 0) * ino) FROM inode"],
    ["inline", "body", "SELECT max(body, (body = 0) * ino) FROM inode"],
    ["xattr", "ino", "SELECT ino FROM inode"],
    ["symlink", "ino", "SELECT ino FROM inode"],
  ] as const
  return keys.flatMap(([table, key, owners]) => {
    const left = tables.number(`SELECT count(*) FROM ${table} WHERE ${key} NOT IN (${owners})`)
    return left === 0 ? [] : [`${left} rows in ${table} belong to no inode`]
  })
}
