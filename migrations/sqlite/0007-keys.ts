/** Encrypted trees: their keys, the slots that hold them wrapped, and a key for each file, wrapped by its tree's. */
export const name = "0007-keys"

export const sql = `
CREATE TABLE key (
  id          INTEGER PRIMARY KEY,
  generation  INTEGER NOT NULL,
  check_value BLOB NOT NULL,
  previous    BLOB
) STRICT;

CREATE TABLE key_slot (
  key        INTEGER NOT NULL,
  slot       INTEGER NOT NULL,
  kind       INTEGER NOT NULL,
  kdf        INTEGER NOT NULL,
  salt       BLOB NOT NULL,
  cost       INTEGER NOT NULL,
  memory_kib INTEGER NOT NULL,
  wrapped    BLOB NOT NULL,
  PRIMARY KEY (key, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE file_key (
  body       INTEGER PRIMARY KEY,
  key        INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  file_id    BLOB NOT NULL,
  wrapped    BLOB NOT NULL
) STRICT;
`
