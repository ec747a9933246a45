/** Named copies of directories. */
export const name = "0005-snapshots"

export const sql = `
CREATE TABLE snapshot (
  root    INTEGER PRIMARY KEY,
  name    TEXT NOT NULL UNIQUE,
  source  INTEGER NOT NULL,
  path    BLOB NOT NULL,
  created INTEGER NOT NULL,
  uid     INTEGER NOT NULL,
  mode    INTEGER NOT NULL,
  inodes  INTEGER NOT NULL,
  bytes   INTEGER NOT NULL
) STRICT;
`
