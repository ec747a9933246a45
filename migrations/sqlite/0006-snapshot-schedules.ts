/** Snapshots by the clock. */
export const name = "0006-snapshot-schedules"

export const sql = `
CREATE TABLE snapshot_schedule (
  name  TEXT PRIMARY KEY,
  path  BLOB NOT NULL,
  every INTEGER NOT NULL,
  keep  INTEGER NOT NULL,
  next  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`
