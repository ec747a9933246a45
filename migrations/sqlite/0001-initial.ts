/** The first schema. docs/FORMAT.md explains every column; schema/clawfs.sql shows the sum of all steps. */
export const name = "0001-initial"

export const sql = `
CREATE TABLE store (
  id      INTEGER PRIMARY KEY CHECK (id = 1),
  uuid    BLOB NOT NULL,
  created INTEGER NOT NULL,
  seed_a  INTEGER NOT NULL,
  seed_b  INTEGER NOT NULL
) STRICT;

CREATE TABLE state (
  id           INTEGER PRIMARY KEY CHECK (id = 1),
  next_ino     INTEGER NOT NULL,
  inodes       INTEGER NOT NULL,
  bytes        INTEGER NOT NULL,
  sequence     INTEGER NOT NULL,
  batch        INTEGER NOT NULL,
  last_segment INTEGER NOT NULL,
  reply_low    INTEGER NOT NULL,
  reply_high   INTEGER NOT NULL,
  reply_value  INTEGER NOT NULL
) STRICT;

CREATE TABLE inode (
  ino           INTEGER PRIMARY KEY,
  mode          INTEGER NOT NULL,
  nlink         INTEGER NOT NULL,
  uid           INTEGER NOT NULL,
  gid           INTEGER NOT NULL,
  rdev          INTEGER NOT NULL,
  size          INTEGER NOT NULL,
  alloc         INTEGER NOT NULL,
  flags         INTEGER NOT NULL,
  parent        INTEGER NOT NULL,
  inline_offset INTEGER NOT NULL,
  inline_length INTEGER NOT NULL,
  atime         INTEGER NOT NULL,
  atime_nanos   INTEGER NOT NULL,
  mtime         INTEGER NOT NULL,
  mtime_nanos   INTEGER NOT NULL,
  ctime         INTEGER NOT NULL,
  ctime_nanos   INTEGER NOT NULL,
  btime         INTEGER NOT NULL,
  btime_nanos   INTEGER NOT NULL
) STRICT;

CREATE INDEX orphan ON inode (ino) WHERE nlink = 0;

CREATE TABLE dentry (
  parent INTEGER NOT NULL,
  cookie INTEGER NOT NULL,
  name   BLOB NOT NULL,
  ino    INTEGER NOT NULL,
  type   INTEGER NOT NULL,
  PRIMARY KEY (parent, cookie)
) STRICT, WITHOUT ROWID;

CREATE TABLE symlink (
  ino    INTEGER PRIMARY KEY,
  target BLOB NOT NULL
) STRICT;

CREATE TABLE xattr (
  ino   INTEGER NOT NULL,
  name  BLOB NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (ino, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE inline (
  ino  INTEGER PRIMARY KEY,
  data BLOB NOT NULL
) STRICT;

CREATE TABLE extent (
  ino      INTEGER NOT NULL,
  offset   INTEGER NOT NULL,
  length   INTEGER NOT NULL,
  segment  INTEGER NOT NULL,
  position INTEGER NOT NULL,
  record   INTEGER NOT NULL,
  skip     INTEGER NOT NULL,
  PRIMARY KEY (ino, offset)
) STRICT, WITHOUT ROWID;

CREATE TABLE segment (
  id   INTEGER PRIMARY KEY,
  live INTEGER NOT NULL
) STRICT;
`
