/**
 * Checksums of rows and of sets of rows. The program fills them in within the transaction of the last step, so there is no
 * store of this version in which a row has none: a column that is NULL later is damaged.
 *
 * `HAS_XATTR` in `inode.flags` says exactly whether there are rows in `xattr` from now on.
 */
export const name = "0009-row-sums"

export const sql = `
ALTER TABLE store ADD COLUMN schema_sum INTEGER;
ALTER TABLE store ADD COLUMN sum INTEGER;
ALTER TABLE state ADD COLUMN segment_sum INTEGER;
ALTER TABLE state ADD COLUMN shared_sum INTEGER;
ALTER TABLE state ADD COLUMN snapshot_sum INTEGER;
ALTER TABLE state ADD COLUMN schedule_sum INTEGER;
ALTER TABLE state ADD COLUMN sum INTEGER;
ALTER TABLE inode ADD COLUMN part_sum INTEGER;
ALTER TABLE inode ADD COLUMN sum INTEGER;
ALTER TABLE dentry ADD COLUMN sum INTEGER;
ALTER TABLE symlink ADD COLUMN sum INTEGER;
ALTER TABLE xattr ADD COLUMN sum INTEGER;
ALTER TABLE inline ADD COLUMN sum INTEGER;
ALTER TABLE extent ADD COLUMN sum INTEGER;
ALTER TABLE tree ADD COLUMN sum INTEGER;
ALTER TABLE key ADD COLUMN slot_sum INTEGER;
ALTER TABLE key ADD COLUMN sum INTEGER;
ALTER TABLE key_slot ADD COLUMN sum INTEGER;
ALTER TABLE file_key ADD COLUMN sum INTEGER;
UPDATE inode SET flags = flags - 0x01000000
  WHERE flags & 0x01000000 AND NOT EXISTS (SELECT 1 FROM xattr WHERE xattr.ino = inode.ino);
`
