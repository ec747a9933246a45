/** Statements that damage copies and trees, each with what the check must say of it. */
import { inodeAt, setAt } from "./copies-sample.ts"
import type { Damage } from "./damages.ts"

const bodyAt = (path: string): string =>
  `(SELECT max(body, (body = 0) * ino) FROM inode WHERE ino = ${inodeAt(path)})`
const DEEP = inodeAt("dir/sub/deep")

const bodies: Readonly<Record<string, Damage>> = {
  "a body that is counted too often": {
    sql: `UPDATE shared SET refs = 3 WHERE body = ${DEEP}`,
    finds: /^shared \/dir\/sub\/deep: body \d+ is counted as that of 3 inodes, 2 have it$/,
  },
  "a body that is not counted": {
    sql: `DELETE FROM shared WHERE body = ${DEEP}`,
    finds: /^shared \/dir\/sub\/deep: body \d+ is not counted as shared, 2 have it$/,
    holds: [`refs = 2 FROM shared WHERE body = ${DEEP}`],
  },
  "a body that is not counted, and is nobody's own": {
    sql: `DELETE FROM shared WHERE body = ${bodyAt("small")}`,
    finds: /^shared \/small: body \d+ is not counted as shared, 2 have it$/,
  },
  "a body of empty files that is not counted": {
    sql: `DELETE FROM shared WHERE body = ${inodeAt("empty")}`,
    finds: /^shared \/empty: body \d+ is not counted as shared, 2 have it$/,
  },
  "a body that is counted, and has one inode": {
    sql: `INSERT INTO shared VALUES (${bodyAt(".snapshots/first/big")}, 2)`,
    finds: /^shared \/\.snapshots\/first\/big: body \d+ is counted as that of 2 inodes, 1 has it$/,
  },
  "a body that is counted, and was never copied": {
    sql: `INSERT INTO shared VALUES (${inodeAt("outer/sub/file")}, 2)`,
    finds: /^shared \?: body \d+ is counted as that of 2 inodes, no copy has it$/,
  },
  "a directory that is counted as a body": {
    sql: `INSERT INTO shared VALUES (${inodeAt("dir")}, 2)`,
    finds: /^shared \?: body \d+ is counted as that of 2 inodes, no copy has it$/,
  },
  "a body that none can be": {
    sql: "INSERT INTO shared VALUES (-3, 2)",
    finds: /^leftover \?: 1 rows in table shared belong to inodes that can't exist$/,
  },
  "the size of one of three": {
    sql: setAt(".snapshots/second/copy", "size = 400000"),
    finds:
      /^inode \/\.snapshots\/second\/copy: size 400000, but 300100 in another file with the same contents$/,
    holds: [`size = 300100 FROM inode WHERE ino = ${inodeAt(".snapshots/second/copy")}`],
  },
  "the size of the one of three that was copied": {
    sql: setAt("copy", "size = 400000"),
    finds: /^inode \/copy: size 400000, but 300100 in another file with the same contents$/,
    holds: [`size = 300100 FROM inode WHERE ino = ${inodeAt("copy")}`],
  },
  "the size of one of two": {
    sql: setAt(".snapshots/first/dir/sub/deep", "size = 300000"),
    finds:
      /^inode \/\.snapshots\/first\/dir\/sub\/deep: size 300000, but 200000 in another file with the same contents$/,
    stays: true,
  },
  "a size of one of two that can't be": {
    sql: setAt("dir/sub/deep", "size = 5"),
    finds: /^inode \/dir\/sub\/deep: size 5, but 200000 in another file with the same contents$/,
    holds: [`size = 200000 FROM inode WHERE ino = ${DEEP}`],
  },
  "the sum of a copy": {
    sql: setAt(".snapshots/second/copy", "alloc = 1"),
    finds: /^inode \/\.snapshots\/second\/copy: alloc 1, but 300100 in another file with the same contents$/,
  },
  "the sum of what was copied": {
    sql: setAt("dir/sub/deep", "alloc = 1"),
    finds: /^inode \/dir\/sub\/deep: alloc 1, but 200000 in another file with the same contents$/,
  },
  "the sum of the only copy": {
    sql: setAt(".snapshots/first/big", "alloc = 1"),
    finds: /^inode \/\.snapshots\/first\/big: alloc 1, but 300100 bytes are stored$/,
  },
  "what a copy says of the inline piece": {
    sql: setAt(".snapshots/second/small", "inline_length = 10, alloc = 10, size = 10"),
    finds:
      /^inode \/\.snapshots\/second\/small: inline_length 10, but 5000 in another file with the same contents$/,
    holds: [`length(data) = 5000 FROM inline WHERE body = ${bodyAt("small")}`],
  },
  "the place of the inline piece in a copy": {
    sql: setAt("small", "inline_offset = 5"),
    finds: /^inode \/small: inline_offset 5, but 0 in another file with the same contents$/,
  },
  "an inline piece that is gone from one file": {
    sql: `DELETE FROM inline WHERE body = ${bodyAt("small")}`,
    finds: /^inline \/small 0\+5000: the inline piece is lost, 5000 bytes$/,
  },
  "an inline piece that is gone from the other": {
    sql: `DELETE FROM inline WHERE body = ${bodyAt("small")}`,
    finds: /^inline \/\.snapshots\/second\/small 0\+5000: the inline piece is lost, 5000 bytes$/,
  },
  "an extent of one file": {
    sql: `UPDATE extent SET skip = -1 WHERE body = ${inodeAt("copy")} AND offset = 131072`,
    finds: /^extent \/copy 131072\+\d+: an extent leaves its record of \d+ bytes$/,
    stays: true,
  },
  "an extent of the others": {
    sql: `UPDATE extent SET skip = -1 WHERE body = ${inodeAt("copy")} AND offset = 131072`,
    finds: /^extent \/\.snapshots\/second\/copy 131072\+\d+: an extent leaves its record of \d+ bytes$/,
    stays: true,
  },
  "the type of a copy": {
    sql: setAt(".snapshots/second/copy", "mode = 4516"),
    finds: /^inode \/\.snapshots\/second\/copy: mode 0o10644, and has contents of a file$/,
  },
  "the type of the only copy": {
    sql: setAt(".snapshots/first/big", "mode = 4516"),
    finds: /^inode \/\.snapshots\/first\/big: mode 0o10644, and has contents of a file$/,
  },
  "the type of all copies": {
    sql: `UPDATE inode SET mode = 4516 WHERE ino IN (${inodeAt("small")}, ${inodeAt(".snapshots/second/small")})`,
    finds: /^inode \/\.snapshots\/second\/small: mode 0o10644, and has contents of a file$/,
  },
  "a body that is empty": {
    sql: setAt("outer/sub/file", "body = 4711"),
    finds: /^inode \/outer\/(sub\/file|linked): body 4711, but its contents are under its own number$/,
    holds: [`body = 0 FROM inode WHERE ino = ${inodeAt("outer/sub/file")}`],
  },
  "a body that can't be": {
    sql: setAt("outer/inner/sub/file", "body = -5"),
    finds: /^inode \/outer\/inner\/sub\/file: body -5 can't be$/,
    holds: [`body = 0 FROM inode WHERE ino = ${inodeAt("outer/inner/sub/file")}`],
  },
  "a body that can't be, of no file": {
    sql: setAt(".snapshots/first/fifo", "body = -5"),
    finds: /^inode \/\.snapshots\/first\/fifo: body -5 can't be$/,
    stays: true,
  },
  "a body that is the inode's own": {
    sql: setAt("outer/sub/file", "body = ino"),
    finds: /^inode \/outer\/(sub\/file|linked): body \d+ is its own number, noted as 0$/,
  },
  "the body of another file": {
    sql: setAt("outer/inner/sub/file", `body = ${DEEP}`),
    finds: /^inode \/outer\/inner\/sub\/file: body \d+, but its contents are under its own number$/,
    holds: [
      `body = 0 AND size = 31000 FROM inode WHERE ino = ${inodeAt("outer/inner/sub/file")}`,
      `refs = 2 FROM shared WHERE body = ${DEEP}`,
    ],
  },
  "the body of another file, where nothing tells which one was meant": {
    sql: setAt(".snapshots/second/empty", `body = ${DEEP}`),
    finds: /^shared \/dir\/sub\/deep: body \d+ is counted as that of 2 inodes, 3 have it$/,
    stays: true,
    holds: [`size = 7 FROM inode WHERE ino = ${inodeAt(".snapshots/second/empty")}`],
  },
  "rows with the number of a file that has other contents": {
    sql: `INSERT INTO extent (body, offset, length, segment, position, record, skip, plain, sequence) VALUES (${inodeAt(".snapshots/second/dir/sub/deep")}, 0, 5, 0, 0, 0, 0, 0, 0)`,
    finds:
      /^leftover \/\.snapshots\/second\/dir\/sub\/deep: rows in table extent have the number of inode \d+, whose contents are others$/,
  },
  "rows with the number of a file that was copied, has other contents, and whose copies are gone": {
    sql: `INSERT INTO inline (body, data) VALUES (${inodeAt(".snapshots/first/big")}, x'61')`,
    finds:
      /^leftover \/\.snapshots\/first\/big: rows in table inline have the number of inode \d+, whose contents are others$/,
  },
  "rows with the number that a FIFO was copied from": {
    sql: `${setAt(".snapshots/first/fifo", "body = 4000")}; INSERT INTO inline (body, data) VALUES (4000, x'61')`,
    finds: /^leftover \?: rows in table inline belong to inode 4000, which does not exist$/,
  },
  "contents of a directory that was copied": {
    sql: `INSERT INTO extent (body, offset, length, segment, position, record, skip, plain, sequence) VALUES (${inodeAt("dir")}, 0, 5, 0, 0, 0, 0, 0, 0)`,
    finds: /^inode \/dir: mode 0o40755, and has contents of a file$/,
    stays: true,
  },
  "the next inode number, which is that of a body": {
    sql: setAt(".snapshots/first/fifo", "body = 4000"),
    finds: /^state \?: the next inode number, \d+, is not above all that are used \(4000\)$/,
  },
}

const tree = (path: string): string => `WHERE id = ${inodeAt(path)}`

const trees: Readonly<Record<string, Damage>> = {
  "the bytes of a tree": {
    sql: `UPDATE tree SET used_bytes = 1 ${tree("outer")}`,
    finds: /^tree \/outer: the tree counts 1 bytes and 6 inodes, there are 32000 and 6$/,
  },
  "the inodes of a tree": {
    sql: `UPDATE tree SET used_inodes = -1 ${tree("outer/inner")}`,
    finds: /^tree \/outer\/inner: the tree counts 31000 bytes and -1 inodes, there are 31000 and 3$/,
  },
  "the tree around a tree": {
    sql: `UPDATE tree SET parent = 0 ${tree("outer/inner")}`,
    finds: /^tree \/outer\/inner: the tree is in tree \d+, and says tree 0$/,
  },
  "a tree around a tree that is not there": {
    sql: `UPDATE tree SET parent = 4711 ${tree(".snapshots/first")}`,
    finds: /^tree \/\.snapshots\/first: the tree is in tree \d+, and says tree 4711$/,
  },
  "trees that lie in each other": {
    sql: `UPDATE tree SET parent = ${inodeAt("outer/inner")} ${tree("outer")}`,
    finds: /^tree \/outer: the tree is in tree 0, and says tree \d+$/,
  },
  "trees that lie in each other, and whose directory has lost its name": {
    sql: `UPDATE tree SET parent = ${inodeAt("outer/inner")} ${tree("outer")};
      DELETE FROM dentry WHERE ino = ${inodeAt("outer")}`,
    finds: /^tree \?: the tree lies inside of itself$/,
    leaves: ["lost+found"],
  },
  "the row of a tree": {
    sql: `DELETE FROM tree ${tree("outer/inner")}`,
    finds: /^tree \/outer\/inner: tree \d+ has no row: what its limits, its key and its flags were is lost$/,
    stays: true,
  },
  "the number of a tree": {
    sql: `UPDATE tree SET id = 9999 ${tree("outer/inner")}`,
    finds:
      /^tree \/outer\/inner: tree \d+ has no row, but tree 9999, in which nothing is, has one that fits$/,
    holds: [`limit_bytes = 1000000000 FROM tree ${tree("outer/inner")}`],
  },
  "the number of a tree, which is that of a directory now": {
    sql: `UPDATE tree SET id = ${inodeAt("dir")} ${tree("outer/inner")}`,
    finds: /^tree \/outer\/inner: tree \d+ has no row, but tree \d+, in which nothing is, has one that fits$/,
    holds: [`tree = 0 FROM inode WHERE ino = ${inodeAt("dir")}`],
  },
  "the number of a tree, which none can be": {
    sql: `UPDATE tree SET id = -5 ${tree("outer/inner")}`,
    finds: /^tree \?: 1 trees have a number that none can have$/,
    stays: true,
  },
  "a tree that nothing is in": {
    sql: "INSERT INTO tree VALUES (9999, 0, 0, 0, 0, 0, 0, 0, NULL)",
    finds: /^tree \?: there is nothing in tree 9999$/,
  },
  "a tree with a number that none can be": {
    sql: "INSERT INTO tree VALUES (-9, 0, 0, 0, 0, 0, 0, 0, NULL)",
    finds: /^tree \?: 1 trees have a number that none can have$/,
  },
  "the flags of a tree": {
    sql: `UPDATE tree SET flags = flags | 0x40000000 ${tree(".snapshots/first")}`,
    finds: /^tree \/\.snapshots\/first: flags 0x40000001 have bits that mean nothing$/,
    holds: [`flags = 1 FROM tree ${tree(".snapshots/first")}`],
  },
  "the key of a tree": {
    sql: `UPDATE tree SET key = -1 ${tree("outer")}`,
    finds: /^tree \/outer: key -1 is no 32-bit number$/,
    stays: true,
  },
  "a limit of a tree": {
    sql: `UPDATE tree SET limit_inodes = -1 ${tree("outer")}`,
    finds: /^tree \/outer: limit -1 is out of range$/,
    stays: true,
  },
  "the tree of a file": {
    sql: setAt("outer/inner/sub/file", "tree = 0"),
    finds: /^tree \/outer\/inner\/sub\/file: it belongs into tree \d+, and says no tree$/,
  },
  "the tree of a file with two names": {
    sql: setAt("outer/sub/file", "tree = 0"),
    finds: /^tree \/outer\/(sub\/file|linked): it belongs into tree \d+, and says no tree$/,
  },
  "the tree of a file in none": {
    sql: setAt("small", "tree = -7"),
    finds: /^tree \/small: it belongs into no tree, and says tree -7$/,
  },
  "the tree of the root": {
    sql: "UPDATE inode SET tree = 4711 WHERE ino = 1",
    finds: /^tree \/: it belongs into no tree, and says tree 4711$/,
  },
  "the tree of a directory": {
    sql: setAt("outer/sub", `tree = ${inodeAt(".snapshots/first")}`),
    finds: /^tree \/outer\/sub: it belongs into tree \d+, and says tree \d+$/,
  },
  "the tree of its top": {
    sql: setAt("outer/inner", "tree = 0"),
    finds: /^tree \/outer\/inner: it is the top of tree \d+, and says no tree$/,
  },
  "the tree of a file, which has another key": {
    sql: `UPDATE tree SET key = 5 ${tree("outer")}; ${setAt("outer/sub", "tree = 0")}`,
    finds: /^tree \/outer\/sub: it belongs into tree \d+, and says no tree$/,
    stays: true,
  },
  "a name in another tree": {
    sql: `UPDATE dentry SET parent = 1 WHERE parent = ${inodeAt("outer/inner/sub")}`,
    finds: /^tree \/file: it belongs into no tree, and says tree \d+$/,
  },
  "one of two names in another tree": {
    sql: `UPDATE dentry SET parent = 1 WHERE name = CAST('linked' AS BLOB)`,
    finds: /^tree \/linked: its names are in directories of several trees$/,
    stays: true,
  },
  "a directory that has lost its name, and keeps its tree": {
    sql: `DELETE FROM dentry WHERE ino = ${inodeAt("outer/sub")}`,
    finds: /^lost \?: no name leads to inode \d+$/,
    leaves: ["lost+found"],
    holds: [
      `tree = ${inodeAt("outer")} FROM inode WHERE ino = (SELECT parent FROM dentry WHERE name = CAST('file' AS BLOB) LIMIT 1)`,
    ],
  },
}

const LISTED = (name: string): string => `FROM snapshot WHERE name = '${name}'`

const snapshots: Readonly<Record<string, Damage>> = {
  "a snapshot that is not listed": {
    sql: `DELETE ${LISTED("first")}`,
    finds: /^snapshot \/\.snapshots\/first: it is not listed: what it was made of and when is lost$/,
    holds: [`path = CAST('/.snapshots/first' AS BLOB) ${LISTED("first")}`, `source = 1 ${LISTED("first")}`],
  },
  "a snapshot that is not there": {
    sql: `INSERT INTO snapshot SELECT 9999, 'ghost', source, path, created, uid, mode, inodes, bytes ${LISTED("first")}`,
    finds: /^snapshot \?: the snapshot "ghost" is listed, and is not in \/\.snapshots$/,
    holds: ["count(*) = 2 FROM snapshot"],
  },
  "the name of a snapshot": {
    sql: `UPDATE snapshot SET name = 'fir\x1bst' WHERE name = 'first'`,
    finds: /^snapshot \/\.snapshots\/first: it is listed under the name "fir\\x1bst"$/,
    holds: [`path = CAST('/' AS BLOB) ${LISTED("first")}`],
  },
  "the names of two snapshots": {
    sql: `UPDATE snapshot SET name = 'x' WHERE name = 'first'; UPDATE snapshot SET name = 'first' WHERE name = 'second';
      UPDATE snapshot SET name = 'second' WHERE name = 'x'`,
    finds: /^snapshot \/\.snapshots\/second: it is listed under the name "first"$/,
    holds: [`root = ${inodeAt(".snapshots/first")} ${LISTED("first")}`, "count(*) = 2 FROM snapshot"],
  },
  "a name in the directory of the snapshots": {
    sql: `UPDATE dentry SET name = CAST('other' AS BLOB) WHERE name = CAST('first' AS BLOB)`,
    finds: /^snapshot \/\.snapshots\/other: it is listed under the name "first"$/,
    holds: [`root = ${inodeAt(".snapshots/other")} ${LISTED("other")}`],
  },
  "the path of a snapshot": {
    sql: `UPDATE snapshot SET path = CAST('nowhere' AS BLOB) WHERE name = 'second'`,
    finds: /^snapshot \/\.snapshots\/second: what is listed of it can't be$/,
    holds: [`path = CAST('/.snapshots/second' AS BLOB) ${LISTED("second")}`],
  },
  "the owner of a snapshot": {
    sql: "UPDATE snapshot SET uid = -1, mode = 0, inodes = -7 WHERE name = 'second'",
    finds: /^snapshot \/\.snapshots\/second: what is listed of it can't be$/,
    holds: [`inodes = (SELECT used_inodes FROM tree WHERE id = root) ${LISTED("second")}`],
  },
  "the directory of the snapshots": {
    sql: `DELETE FROM dentry WHERE parent = 1 AND ino = ${inodeAt(".snapshots")}`,
    finds: /^snapshot \?: the snapshot "first" is listed, and is not in \/\.snapshots$/,
    leaves: ["lost+found"],
    holds: ["count(*) = 0 FROM snapshot", `count(*) = 1 FROM dentry WHERE name = CAST('first' AS BLOB)`],
  },
}

export const copiesDamages: Readonly<Record<string, Damage>> = { ...bodies, ...trees, ...snapshots }
