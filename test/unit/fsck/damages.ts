/** Statements that damage the sample, each with what the check must say of it. */

export interface Damage {
  readonly sql: string
  /** A finding, as `textOf` writes it. */
  readonly finds: RegExp
  /** It stays, and is all that stays. */
  readonly stays?: true
  /** Names that are there after the repair. */
  readonly leaves?: readonly string[]
  /** What is true after the repair, in SQL. */
  readonly holds?: readonly string[]
}

const inode = (name: string): string => `(SELECT ino FROM dentry WHERE name = CAST('${name}' AS BLOB))`
/** The condition that a directory entry has this name. */
export const entry = (name: string): string => `name = CAST('${name}' AS BLOB)`
/** Changes the inode of a name. */
export const set = (name: string, assignment: string): string =>
  `UPDATE inode SET ${assignment} WHERE ino = ${inode(name)}`

const names: Readonly<Record<string, Damage>> = {
  "a link count": {
    sql: set("one", "nlink = 7"),
    finds: /^links \/dir\/(one|two): link count 7, but there are 2$/,
  },
  "the link count of a directory": {
    sql: set("dir", "nlink = 2"),
    finds: /^links \/dir: link count 2, but there are 3$/,
  },
  "a link count of 0 with a name": {
    sql: set("small", "nlink = 0"),
    finds: /^links \/small: link count 0, but there are 1$/,
  },
  "the link count of the root": {
    sql: "UPDATE inode SET nlink = 0 WHERE ino = 1",
    finds: /^links \/: link count 0, but there are 3$/,
  },
  "a name whose inode is gone": {
    sql: "INSERT INTO dentry (parent, cookie, name, ino, type) VALUES (1, 99, CAST('ghost' AS BLOB), 4711, 8)",
    finds: /^name \/ghost: it stands for inode 4711, which does not exist$/,
  },
  "a name in a directory that is gone": {
    sql: "INSERT INTO dentry (parent, cookie, name, ino, type) VALUES (4711, 99, CAST('ghost' AS BLOB), 2, 8)",
    finds: /^name \?: its directory, inode 4711, does not exist$/,
  },
  "a name in a file": {
    sql: `UPDATE dentry SET parent = ${inode("small")} WHERE ${entry("fifo")}`,
    finds: /^name \/small\/fifo: inode \d+, which holds it, is no directory$/,
    leaves: ["lost+found"],
  },
  "a name with a slash": {
    sql: `UPDATE dentry SET name = CAST('a/b' AS BLOB) WHERE ${entry("fifo")}`,
    finds: /^name \/a\\x2fb: a name with a slash or a zero byte$/,
    leaves: ["lost+found"],
  },
  "an empty name": {
    sql: `UPDATE dentry SET name = x'' WHERE ${entry("fifo")}`,
    finds: /^name \/: a name of 0 bytes$/,
  },
  "a name that is too long": {
    sql: `UPDATE dentry SET name = zeroblob(256) WHERE ${entry("fifo")}`,
    finds: /^name .*: a name of 256 bytes$/,
  },
  "a name that means the directory above": {
    sql: `UPDATE dentry SET name = CAST('..' AS BLOB) WHERE ${entry("fifo")}`,
    finds: /^name \/\.\.: a name that is kept for the directory itself$/,
  },
  "a name that lookups don't find": {
    sql: `UPDATE dentry SET cookie = cookie + 100 WHERE ${entry("small")}`,
    finds: /^name \/small: the entry is not where lookups look for it \(cookie \d+\)$/,
    leaves: ["small"],
  },
  "a name with the cookie of the directory itself": {
    sql: `UPDATE dentry SET cookie = 1 WHERE ${entry("dir")}`,
    finds: /^name \/dir: the entry is not where lookups look for it \(cookie 1\)$/,
    leaves: ["dir"],
  },
  "a cookie that is no number of ours": {
    sql: `UPDATE dentry SET cookie = -5 WHERE ${entry("small")}`,
    finds: /^name \?: 1 directory entries have a directory or a cookie that no number of ours is$/,
    leaves: ["lost+found"],
  },
  "a name twice in a directory": {
    sql: `INSERT INTO dentry (parent, cookie, name, ino, type) SELECT parent, cookie + 1, name, ${inode("fifo")}, 1 FROM dentry WHERE ${entry("small")}`,
    finds: /^name \/small: the name is there twice, for inodes \d+ and \d+$/,
  },
  "a renamed name": {
    sql: `UPDATE dentry SET name = CAST('other' AS BLOB) WHERE ${entry("small")}`,
    finds: /^name \/other: the entry is not where lookups look for it/,
    leaves: ["other"],
  },
  "the type of an entry": {
    sql: `UPDATE dentry SET type = 10 WHERE ${entry("small")}`,
    finds: /^name \/small: the entry has type 10, its inode 8$/,
  },
  "a name of the root": {
    sql: "INSERT INTO dentry (parent, cookie, name, ino, type) VALUES (1, 99, CAST('self' AS BLOB), 1, 4)",
    finds: /^name \/self: it stands for the root$/,
  },
  "two names of a directory": {
    sql: `INSERT INTO dentry (parent, cookie, name, ino, type) VALUES (${inode("dir")}, 9007199254740000, CAST('again' AS BLOB), ${inode("sub")}, 4)`,
    finds: /^name \/dir\/again: a directory with two names$/,
  },
  "two names of a directory, of which the second is right": {
    sql: `INSERT INTO dentry (parent, cookie, name, ino, type) VALUES (1, 99, CAST('again' AS BLOB), ${inode("sub")}, 4)`,
    finds: /^name \/again: a directory with two names$/,
  },
  "a directory that says it is elsewhere": {
    sql: set("sub", "parent = 1"),
    finds: /^inode \/dir\/sub: the directory is in inode \d+, and says inode 1$/,
  },
  "a file without a name": {
    sql: `DELETE FROM dentry WHERE ${entry("small")}`,
    finds: /^lost \?: no name leads to inode \d+$/,
    leaves: ["lost+found"],
  },
  "a directory without a name": {
    sql: `DELETE FROM dentry WHERE ${entry("dir")}`,
    finds: /^lost \?: no name leads to inode \d+$/,
    leaves: ["lost+found"],
  },
  "directories that lie in each other": {
    sql: `UPDATE dentry SET parent = ${inode("sub")} WHERE ${entry("dir")}`,
    finds: /^lost \?: directory \d+ lies inside of itself, no path leads there$/,
    leaves: ["lost+found"],
  },
  "a directory in itself": {
    sql: `UPDATE dentry SET parent = ${inode("sub")} WHERE ${entry("sub")}`,
    finds: /^lost \?: directory \d+ lies inside of itself, no path leads there$/,
    leaves: ["lost+found"],
  },
  "a mode that is none": {
    sql: set("fifo", "mode = 12708"),
    finds: /^inode \/fifo: mode 0o30644 is no type of file$/,
    stays: true,
  },
  "the type of a directory that holds names": {
    sql: set("dir", "mode = 33188"),
    finds: /^inode \/dir: mode 0o100644, but it is a directory and holds names$/,
    leaves: ["one", "two", "sub"],
  },
  "the type of the root": {
    sql: "UPDATE inode SET mode = -1 WHERE ino = 1",
    finds: /^inode \/: mode 0o-1, but it is a directory and holds names$/,
    leaves: ["dir"],
  },
  "the row of the root": {
    sql: "DELETE FROM inode WHERE ino = 1",
    finds: /^lost \/: the root directory is lost$/,
    leaves: ["dir", "small"],
  },
  "the type of a file": {
    sql: set("deep", "mode = 4516"),
    finds: /^inode \/dir\/sub\/deep: mode 0o10644, and has contents of a file$/,
  },
  "the type of a file that becomes a directory": {
    sql: set("small", "mode = 16877"),
    finds: /^inode \/small: mode 0o40755, and has contents of a file$/,
  },
  "the type of a link": {
    sql: set("link", "mode = 33279"),
    finds: /^symlink \/link: mode 0o100777, and has the target of a link$/,
  },
  "an owner": {
    sql: set("fifo", "uid = -1"),
    finds: /^inode \/fifo: owner -1 is no 32-bit number$/,
    stays: true,
  },
  "a device number of a file": {
    sql: set("small", "rdev = 5"),
    finds: /^inode \/small: a device number \(5\) with mode 0o100000$/,
  },
  "a parent of a file": {
    sql: set("small", "parent = 1"),
    finds: /^inode \/small: a parent \(inode 1\) with mode 0o100000$/,
  },
  "the size of a directory": {
    sql: set("dir", "size = 0"),
    finds: /^inode \/dir: a directory of size 0 instead of 4096$/,
  },
}

const contents: Readonly<Record<string, Damage>> = {
  flags: {
    sql: set("small", "flags = flags | 0x200"),
    finds: /^inode \/small: flags 0x1000200 have bits that mean nothing$/,
  },
  nanoseconds: {
    sql: set("small", "mtime_nanos = 1000000000"),
    finds: /^inode \/small: mtime has 1000000000 nanoseconds$/,
  },
  "a negative size": { sql: set("small", "size = -1"), finds: /^inode \/small: size -1 is out of range$/ },
  "a size below the contents": {
    sql: set("big", "size = 8192"),
    finds: /^inode \/big: size 8192, but there are contents up to 300100$/,
  },
  "a sum of stored bytes": {
    sql: set("big", "alloc = 1"),
    finds: /^inode \/big: alloc 1, but 300100 bytes are stored$/,
  },
  "a sum that is no number of ours": {
    sql: set("big", "alloc = -9223372036854775808"),
    finds: /^inode \/big: alloc -?\d+ is out of range$/,
  },
  "an inode number that none can have": {
    sql: `INSERT INTO inode SELECT -7, mode, 0, uid, gid, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL FROM inode WHERE ino = ${inode("small")}`,
    finds: /^inode \?: 1 inodes have a number that none can have$/,
    stays: true,
  },
  "a link without its target": {
    sql: "DELETE FROM symlink",
    finds: /^symlink \/link: the target of the link is lost$/,
    stays: true,
  },
  "the size of a link": {
    sql: set("link", "size = 3"),
    finds: /^symlink \/link: size 3, but the target has 12 bytes$/,
  },
  "a target of a file": {
    sql: `INSERT INTO symlink (ino, target) VALUES (${inode("small")}, CAST('x' AS BLOB))`,
    finds: /^symlink \/small: mode 0o100644, and has the target of a link$/,
    stays: true,
  },
  "a target with a zero byte": {
    sql: "UPDATE symlink SET target = x'610062', ino = ino; UPDATE inode SET size = 3 WHERE ino IN (SELECT ino FROM symlink)",
    finds: /^symlink \/link: a target with a zero byte$/,
    stays: true,
  },
  "attributes without their flag": {
    sql: set("small", "flags = 0"),
    finds: /^xattr \/small: the flags of the inode do not fit/,
  },
  "the flag of an ACL that is not there": {
    sql: set("dir", "flags = 0x2000000"),
    finds: /^xattr \/dir: the flags of the inode do not fit/,
  },
  "rows of inodes that are gone": {
    sql: "INSERT INTO xattr (ino, name, value) VALUES (4711, CAST('user.x' AS BLOB), x'00'); INSERT INTO symlink (ino, target) VALUES (4711, x'61'); INSERT INTO inline (body, data) VALUES (4711, x'61'); INSERT INTO extent (body, offset, length, segment, position, record, skip, plain, sequence) VALUES (4711, 0, 5, 0, 0, 0, 0, 0, 0)",
    finds:
      /^leftover \?: rows in table (xattr|symlink|inline|extent) belong to inode 4711, which does not exist$/,
  },
  "a row of an inode that can't exist": {
    sql: "INSERT INTO inline (body, data) VALUES (-3, x'61')",
    finds: /^leftover \?: 1 rows in table inline belong to inodes that can't exist$/,
  },
  "an inline piece that is gone": {
    sql: `DELETE FROM inline WHERE body = ${inode("small")}`,
    finds: /^inline \/small 0\+5000: the inline piece is lost, 5000 bytes$/,
  },
  "an inline piece that is too short": {
    sql: `UPDATE inline SET data = substr(data, 1, 4000) WHERE body = ${inode("small")}`,
    finds: /^inline \/small 4000\+1000: the end of the inline piece is lost, 1000 bytes$/,
  },
  "the length of an inline piece": {
    sql: set("small", "inline_length = 10"),
    finds: /^inline \/small: the inline piece has 5000 bytes, the inode says 10$/,
  },
  "a row in inline that nothing reads": {
    sql: `INSERT INTO inline (body, data) VALUES (${inode("deep")}, zeroblob(10))`,
    finds: /^leftover \/dir\/sub\/deep: 10 bytes in table inline belong to nothing$/,
  },
  "a place of an inline piece without one": {
    sql: set("deep", "inline_offset = 5"),
    finds: /^inline \/dir\/sub\/deep: /,
  },
  "an inline piece where none can be": {
    sql: set("small", "inline_offset = -1"),
    finds: /^inline \/small: an inline piece of 5000 bytes at -1 can't be$/,
    stays: true,
  },
  "extents that overlap": {
    sql: `UPDATE extent SET offset = 131000 WHERE body = ${inode("deep")} AND offset = 131072`,
    finds: /^extent \/dir\/sub\/deep 131000\+68928: two extents overlap$/,
    stays: true,
  },
  "an extent over the inline piece": {
    sql: set("big", "inline_offset = 100000, size = 400000"),
    finds: /^extent \/big \d+\+\d+: an extent overlaps the inline piece$/,
    stays: true,
  },
  "an extent that leaves its record": {
    sql: `UPDATE extent SET skip = 1 WHERE body = ${inode("deep")} AND offset = 0`,
    finds: /^extent \/dir\/sub\/deep 0\+131072: an extent leaves its record of 131072 bytes$/,
    stays: true,
  },
  "an extent without a length": {
    sql: `UPDATE extent SET length = 0 WHERE body = ${inode("deep")} AND offset = 0`,
    finds: /^extent \/dir\/sub\/deep 0\+0: an extent of 0 bytes$/,
    stays: true,
  },
  "an extent in a segment that can't be": {
    sql: `UPDATE extent SET segment = -1 WHERE body = ${inode("deep")} AND offset = 0`,
    finds: /^extent \/dir\/sub\/deep 0\+131072: an extent lies in segment -1, which can't be$/,
    stays: true,
  },
  "an unwritten extent with a place": {
    sql: `UPDATE extent SET position = 64 WHERE body = ${inode("reserved")}`,
    finds: /^extent \/reserved: an unwritten extent with a place in the log$/,
  },
  "an unwritten extent with a record": {
    sql: `UPDATE extent SET sequence = 3 WHERE body = ${inode("reserved")}`,
    finds: /^extent \/reserved: an unwritten extent with a place in the log$/,
  },
  "the decoded length of a record that is not encoded": {
    sql: `UPDATE extent SET plain = 131072 WHERE body = ${inode("deep")} AND offset = 0`,
    finds: /^contents \/dir\/sub\/deep 0\+131072: can't be read: .* is encoded in another way$/,
    stays: true,
  },
  "a decoded length that can't be": {
    sql: `UPDATE extent SET plain = -1 WHERE body = ${inode("deep")} AND offset = 0`,
    finds:
      /^extent \/dir\/sub\/deep 0\+131072: an extent lies in a record of -1 decoded bytes, which can't be$/,
    stays: true,
  },
  "the number of the record that an extent means": {
    sql: `UPDATE extent SET sequence = sequence + 1 WHERE body = ${inode("deep")} AND offset = 0`,
    finds: /^contents \/dir\/sub\/deep 0\+131072: can't be read: .* is not the one that was written last$/,
    stays: true,
  },
  "the number of a record that can't be": {
    sql: `UPDATE extent SET sequence = -1 WHERE body = ${inode("deep")} AND offset = 0`,
    finds: /^extent \/dir\/sub\/deep 0\+131072: an extent names record -1, which can't be$/,
    stays: true,
  },
  "contents of a FIFO": {
    sql: `INSERT INTO extent (body, offset, length, segment, position, record, skip, plain, sequence) VALUES (${inode("fifo")}, 0, 5, 0, 0, 0, 0, 0, 0)`,
    finds: /^inode \/fifo: mode 0o10644, and has contents of a file$/,
    stays: true,
  },
  "an extent behind the end of its segment": {
    sql: `UPDATE extent SET position = 60000000 WHERE body = ${inode("deep")} AND offset = 0`,
    finds: /^contents \/dir\/sub\/deep 0\+131072: can't be read: segment 1 ends/,
    stays: true,
  },
  "an extent that points to another record": {
    sql: `UPDATE extent SET position = position + 8 WHERE body = ${inode("deep")} AND offset = 0`,
    finds:
      /^contents \/dir\/sub\/deep 0\+131072: can't be read: record at segment 1 position \d+ has no valid header$/,
    stays: true,
  },
  "an extent in a segment that is not there": {
    sql: `UPDATE extent SET segment = 9 WHERE body = ${inode("deep")}`,
    finds: /^contents \/dir\/sub\/deep 0\+200000: can't be read: segment 9 is missing, and 1 more$/,
    stays: true,
  },
  "the sum of a segment": {
    sql: "UPDATE segment SET live = live - 1",
    finds: /^segment \?: segment 1 counts \d+ bytes in use, there are \d+$/,
  },
  "a segment without a row": {
    sql: "DELETE FROM segment",
    finds: /^segment \?: segment 1 has no row, and \d+ bytes in use$/,
  },
  "a row of a segment that can't be": {
    sql: "INSERT INTO segment VALUES (-4, 0)",
    finds: /^segment \?: 1 rows for segments with a number that none can have$/,
  },
  "the number of inodes": {
    sql: "UPDATE state SET inodes = 3",
    finds: /^state \?: the store counts 3 inodes, there are \d+$/,
  },
  "the number of bytes": {
    sql: "UPDATE state SET bytes = 3",
    finds: /^state \?: the store counts 3 bytes, there are \d+$/,
  },
  "the next inode number": {
    sql: "UPDATE state SET next_ino = 4",
    finds: /^state \?: the next inode number, 4, is not above all that are used/,
  },
  "the sequence number": {
    sql: "UPDATE state SET sequence = 1",
    finds: /^state \?: the sequence number of records is 1, one has \d+$/,
  },
  "the newest segment": {
    sql: "UPDATE state SET last_segment = 0",
    finds: /^state \?: the highest number of a segment is 0, but there is segment 1$/,
  },
  "the end of the log": {
    sql: "UPDATE state SET log_end = 4294967396, log_synced = 0",
    finds:
      /^state \?: the log ends at segment 1 position 100, but records up to segment 1 position \d+ are in use$/,
  },
  "what of the log is on the disk": {
    sql: "UPDATE state SET log_synced = log_end + 1",
    finds: /^state \?: the log can't end at \d+, being on the disk up to \d+$/,
  },
  "an end of the log that is not there": {
    sql: "UPDATE state SET log_end = log_end + 1",
    finds: /^segment \?: segment 1 ends at \d+, but had \d+ bytes$/,
  },
  "the row of totals": { sql: "DELETE FROM state", finds: /^state \?: the row of table state is lost$/ },
  "the row of the store": {
    sql: "DELETE FROM store",
    finds: /^state \?: the row of table store is lost or damaged: nothing can be read$/,
    stays: true,
  },
  "a table": { sql: "DROP TABLE xattr", finds: /^database \?: meta.db has no table xattr$/, stays: true },
}

export const damages: Readonly<Record<string, Damage>> = { ...names, ...contents }
