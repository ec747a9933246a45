/**
 * Directories with properties of their own (`tree`), and contents that several inodes share until one of them is written
 * (`inode.body`): for quotas, encryption, snapshots and clones. Extents say which record they mean, and how long it is decoded.
 */
export const name = "0004-trees-and-bodies"

export const sql = `
ALTER TABLE inode ADD COLUMN tree INTEGER NOT NULL DEFAULT 0;
ALTER TABLE inode ADD COLUMN body INTEGER NOT NULL DEFAULT 0;
CREATE INDEX inode_body ON inode (body) WHERE body != 0;

ALTER TABLE inline RENAME COLUMN ino TO body;
ALTER TABLE extent RENAME COLUMN ino TO body;
ALTER TABLE extent ADD COLUMN plain INTEGER NOT NULL DEFAULT 0;
ALTER TABLE extent ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;

CREATE TABLE shared (
  body INTEGER PRIMARY KEY,
  refs INTEGER NOT NULL
) STRICT;

CREATE TABLE tree (
  id           INTEGER PRIMARY KEY,
  parent       INTEGER NOT NULL,
  flags        INTEGER NOT NULL,
  key          INTEGER NOT NULL,
  limit_bytes  INTEGER NOT NULL,
  limit_inodes INTEGER NOT NULL,
  used_bytes   INTEGER NOT NULL,
  used_inodes  INTEGER NOT NULL
) STRICT;
`
