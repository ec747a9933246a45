-- The database of a store, `meta.db`, as all steps in migrations/sqlite together make it. For reading: the program runs the
-- steps, and a test compares both. docs/FORMAT.md explains how the tables work together.
--
-- Every size, offset and number is an integer below 2^53, exact as a JavaScript number. Names and values are bytes.

-- "Claw" in ASCII: file(1) and a wrong database are told apart by it.
PRAGMA application_id = 0x436c6177;
-- How many steps have been run: the version of the format.
PRAGMA user_version = 9;

-- What makes this store different from any other. One row, written once.
CREATE TABLE store (
  id      INTEGER PRIMARY KEY CHECK (id = 1), -- always 1: there is one row
  uuid    BLOB NOT NULL,                      -- 16 random bytes; every segment of the store has them in its header
  created INTEGER NOT NULL,                   -- when it was made, seconds since 1970
  seed_a  INTEGER NOT NULL,                   -- first seed of the name hash, a random 32-bit number
  seed_b  INTEGER NOT NULL, -- second seed of the name hash
  schema_sum INTEGER, -- checksum of what sqlite_master says of tables and indexes
  sum INTEGER -- checksum of the row
) STRICT;

-- Totals, counters and the last executed request. One row, written by every commit.
CREATE TABLE state (
  id           INTEGER PRIMARY KEY CHECK (id = 1), -- always 1: there is one row
  next_ino     INTEGER NOT NULL, -- the next inode number to be given out; numbers are never used again
  inodes       INTEGER NOT NULL, -- rows in `inode`
  bytes        INTEGER NOT NULL, -- sum of `inode.alloc`, bytes: what statfs(2) shows as used
  sequence     INTEGER NOT NULL, -- number of the record of the log that was written last; a higher one is newer
  batch        INTEGER NOT NULL, -- number of the last committed batch; the journal holds the requests of the next one
  last_segment INTEGER NOT NULL, -- highest number that a segment ever had; numbers are never used again
  reply_low    INTEGER NOT NULL, -- `unique` of the request that was executed last and must not be executed twice, low half
  reply_high   INTEGER NOT NULL, -- its high half, without the bit that marks a resent request; both 0: none
  reply_value  INTEGER NOT NULL, -- what its answer needs: the inode that it made, or a number of bytes, or 0
  log_end      INTEGER NOT NULL DEFAULT 0, -- up to where the log belongs to this commit: segment * 2^32 + position; 0: not known
  log_synced   INTEGER NOT NULL DEFAULT 0, -- up to where the log was on the disk when the commit was made
  feed_epoch   INTEGER NOT NULL DEFAULT 0, -- random; another one: what was read of `feed` so far may be of a state that was lost
  feed_last    INTEGER NOT NULL DEFAULT 0, -- number of the last change in `feed`
  segment_sum INTEGER, -- sum over the rows of `segment`
  shared_sum INTEGER, -- sum over the rows of `shared`
  snapshot_sum INTEGER, -- sum over the rows of `snapshot`
  schedule_sum INTEGER, -- sum over the rows of `snapshot_schedule`
  sum INTEGER -- checksum of the row
) STRICT;

-- One row a file, directory, link, FIFO, socket or device.
CREATE TABLE inode (
  ino           INTEGER PRIMARY KEY, -- inode number, and node id in the FUSE protocol; the root is 1
  mode          INTEGER NOT NULL, -- type and permissions as in stat(2)
  nlink         INTEGER NOT NULL, -- names; a directory counts its own `.` and each subdirectory's `..`
  uid           INTEGER NOT NULL, -- owner, 32-bit number
  gid           INTEGER NOT NULL, -- group, 32-bit number
  rdev          INTEGER NOT NULL, -- device nodes: the kernel's 32-bit device number; others: 0
  size          INTEGER NOT NULL, -- bytes; of a link the length of its target, of a directory 4096
  alloc         INTEGER NOT NULL, -- bytes stored or reserved: the inline piece and all extents
  flags         INTEGER NOT NULL, -- attributes of ioctl_iflags(2), and from 0x1000000 on marks of our own (clawfs/store/inode.ts)
  parent        INTEGER NOT NULL, -- directories: the inode above; others: 0
  inline_offset INTEGER NOT NULL, -- where in the file the inline piece begins, bytes; 0 without one
  inline_length INTEGER NOT NULL, -- length of the inline piece, bytes; 0: there is no row in `inline`
  atime         INTEGER NOT NULL, -- last access, seconds since 1970, negative before
  atime_nanos   INTEGER NOT NULL, -- and nanoseconds, 0 to 999,999,999
  mtime         INTEGER NOT NULL, -- last change of the contents, seconds
  mtime_nanos   INTEGER NOT NULL, -- and nanoseconds
  ctime         INTEGER NOT NULL, -- last change of contents or attributes, seconds
  ctime_nanos   INTEGER NOT NULL, -- and nanoseconds
  btime         INTEGER NOT NULL, -- birth, seconds; never changes
  btime_nanos   INTEGER NOT NULL, -- and nanoseconds
  tree          INTEGER NOT NULL DEFAULT 0, -- the innermost row of `tree` that it belongs to; 0: none
  body          INTEGER NOT NULL DEFAULT 0, -- whose contents it has, the key in `inline` and `extent`; 0: its own number
  part_sum INTEGER, -- sum over a directory's names, or over the extents of the body
  sum INTEGER -- checksum of the row
) STRICT;

-- Who has contents under another number than its own: copies that were not written to, and what was copied from.
CREATE INDEX inode_body ON inode (body) WHERE body != 0;

-- Inodes without a name: unlinked while open, or made by O_TMPFILE. Found here after a crash.
CREATE INDEX orphan ON inode (ino) WHERE nlink = 0;

-- One row a name. The key serves lookups and listings alike.
CREATE TABLE dentry (
  parent INTEGER NOT NULL, -- inode of the directory
  cookie INTEGER NOT NULL, -- place in the directory and readdir cookie: 16 + a 52-bit hash of the name, or one of the next 15
  name   BLOB NOT NULL,    -- 1 to 255 bytes, never `.` or `..`
  ino    INTEGER NOT NULL, -- the inode that the name stands for
  type   INTEGER NOT NULL, -- its file type as in readdir(3): the mode shifted down by 12
  sum INTEGER, -- checksum of the row but for a name in the clear, whose checksum is `cookie`
  PRIMARY KEY (parent, cookie)
) STRICT, WITHOUT ROWID;

-- One row a symbolic link.
CREATE TABLE symlink (
  ino    INTEGER PRIMARY KEY, -- the link's inode
  target BLOB NOT NULL,       -- what it points to, bytes without a NUL
  sum INTEGER -- checksum of the row
) STRICT;

-- Extended attributes and, as `system.posix_acl_access` and `system.posix_acl_default`, access control lists.
CREATE TABLE xattr (
  ino   INTEGER NOT NULL, -- the inode that has it
  name  BLOB NOT NULL,    -- with its prefix, 1 to 255 bytes
  value BLOB NOT NULL,    -- any bytes; ACLs in the form of linux/posix_acl_xattr.h
  sum INTEGER, -- checksum of all rows of the inode, the same in each
  PRIMARY KEY (ino, name)
) STRICT, WITHOUT ROWID;

-- The piece of a file that lives in the database: all of a small one, the tail of one that grows in small steps.
CREATE TABLE inline (
  body INTEGER PRIMARY KEY, -- whose; its place and length are in `inode`
  data BLOB NOT NULL,       -- 1 to 16,384 bytes
  sum INTEGER -- checksum of the row
) STRICT;

-- Where the other bytes of files lie. Extents of a file overlap neither each other nor its inline piece.
CREATE TABLE extent (
  body     INTEGER NOT NULL, -- whose contents these are
  offset   INTEGER NOT NULL, -- where in the file the extent begins, bytes
  length   INTEGER NOT NULL, -- its length, bytes, above 0
  segment  INTEGER NOT NULL, -- the segment that holds it; 0: unwritten, reserved by fallocate(2), reads as zeroes
  position INTEGER NOT NULL, -- where in the segment its record's header begins, bytes
  record   INTEGER NOT NULL, -- payload length of the whole record, bytes
  skip     INTEGER NOT NULL, -- bytes of the decoded payload before the extent's own
  plain    INTEGER NOT NULL DEFAULT 0, -- length of the decoded payload, bytes; 0: it is stored as it is
  sequence INTEGER NOT NULL DEFAULT 0, -- the record's sequence number; 0: not known
  sum INTEGER, -- checksum of the row
  PRIMARY KEY (body, offset)
) STRICT, WITHOUT ROWID;

-- What points into a segment, and at which record: the cleaner moves records, not files.
CREATE INDEX extent_place ON extent (segment, position) WHERE segment != 0;

-- One row a segment of the log that something points to, or that is still being filled.
CREATE TABLE segment (
  id   INTEGER PRIMARY KEY, -- number of the file segments/NNNNNNNN.seg
  live INTEGER NOT NULL     -- sum of the lengths of the extents that point into it, bytes; at 0 the file is deleted
) STRICT;

-- Contents that several inodes have: copied before one of them is written to.
CREATE TABLE shared (
  body INTEGER PRIMARY KEY, -- the key in `inline` and `extent`
  refs INTEGER NOT NULL     -- inodes that have it, 2 or more
) STRICT;

-- Directories with properties of their own, which hold for everything below up to the next such directory.
CREATE TABLE tree (
  id           INTEGER PRIMARY KEY, -- inode number of the directory
  parent       INTEGER NOT NULL, -- the tree around this one; 0: none
  flags        INTEGER NOT NULL, -- 1: read-only, 2: compressed, 4: not compressed; bits 8 to 12: the level
  key          INTEGER NOT NULL, -- encryption key; 0: none
  limit_bytes  INTEGER NOT NULL, -- most bytes it may hold; 0: as many as there is room for
  limit_inodes INTEGER NOT NULL, -- most inodes; 0: no limit
  used_bytes   INTEGER NOT NULL, -- sum of `inode.alloc` over its inodes and those of the trees in it
  used_inodes  INTEGER NOT NULL, -- how many these are; at 0 the row goes
  sum INTEGER -- checksum of the row
) STRICT;

-- Copies of directories below `/.snapshots`.
CREATE TABLE snapshot (
  root    INTEGER PRIMARY KEY, -- inode of the copy's top directory
  name    TEXT NOT NULL UNIQUE, -- its name there
  source  INTEGER NOT NULL, -- inode of the directory that was copied
  path    BLOB NOT NULL, -- its path then, from the root of the filesystem
  created INTEGER NOT NULL, -- when, seconds since 1970
  uid     INTEGER NOT NULL, -- its owner; that of the copy may be another, so that nobody gets in who could not before
  mode    INTEGER NOT NULL, -- its mode; that of the copy may be narrower
  inodes  INTEGER NOT NULL, -- inodes in the copy
  bytes   INTEGER NOT NULL  -- sum of their `alloc` when it was made
) STRICT;

-- Snapshots that are made by the clock.
CREATE TABLE snapshot_schedule (
  name  TEXT PRIMARY KEY,  -- what the names of its snapshots begin with
  path  BLOB NOT NULL,     -- the directory, from the root of the filesystem
  every INTEGER NOT NULL,  -- seconds between two of them
  keep  INTEGER NOT NULL,  -- how many are kept
  next  INTEGER NOT NULL   -- when the next one is due, seconds since 1970
) STRICT, WITHOUT ROWID;

-- One row for each key of an encrypted tree. The key itself is in no row: only wrapped, in its slots.
CREATE TABLE key (
  id          INTEGER PRIMARY KEY, -- in `tree.key` and in the header of each record that is encrypted under it
  generation  INTEGER NOT NULL,    -- 1, and one more with each re-key
  check_value BLOB NOT NULL,       -- 32 bytes that tell the right key from any other
  previous    BLOB,                -- while file keys are being wrapped anew: the key of the generation before, wrapped by this one
  slot_sum INTEGER, -- sum over the rows of `key_slot` that the key has
  sum INTEGER -- checksum of the row
) STRICT;

-- Ways to open a key: it is wrapped by what a key file or a passphrase gives.
CREATE TABLE key_slot (
  key        INTEGER NOT NULL, -- the key that it holds
  slot       INTEGER NOT NULL, -- number of the slot, from 1
  kind       INTEGER NOT NULL, -- 1: key file, 2: passphrase
  kdf        INTEGER NOT NULL, -- 1: HKDF-SHA256, 2: PBKDF2-HMAC-SHA256, 3: argon2id
  salt       BLOB NOT NULL,    -- 16 random bytes
  cost       INTEGER NOT NULL, -- iterations of PBKDF2, passes of argon2id
  memory_kib INTEGER NOT NULL, -- argon2id: memory that it takes, KiB
  wrapped    BLOB NOT NULL,    -- nonce [12] · the key, encrypted [32] · tag [16]
  sum INTEGER, -- checksum of the row
  PRIMARY KEY (key, slot)
) STRICT, WITHOUT ROWID;

-- The key of everything that belongs to a file, directory or link of an encrypted tree. Copies of a file have the same one.
CREATE TABLE file_key (
  body       INTEGER PRIMARY KEY, -- `inode.body`, or the inode's own number
  key        INTEGER NOT NULL,    -- the key that wraps it
  generation INTEGER NOT NULL,    -- and which generation of that
  file_id    BLOB NOT NULL,       -- 16 random bytes that name the file in all that is encrypted
  wrapped    BLOB NOT NULL,       -- nonce [12] · the file's key, encrypted [32] · tag [16]
  sum INTEGER -- checksum of the row
) STRICT;

-- What has changed, a row a commit; the search index follows it. Rows go when they were read.
CREATE TABLE feed (
  seq     INTEGER PRIMARY KEY, -- number of its last change; all changes of an epoch are numbered in the order of the commits
  changes BLOB NOT NULL        -- three little-endian doubles a change: the inode; the directory where a name of it came or
                               -- went, 0 for its contents or attributes; the place there, `dentry.cookie`
) STRICT;
