/** What has changed, for whoever follows the store: the search index. */
export const name = "0008-feed"

export const sql = `
CREATE TABLE feed (
  seq     INTEGER PRIMARY KEY,
  changes BLOB NOT NULL
) STRICT;

ALTER TABLE state ADD COLUMN feed_epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN feed_last INTEGER NOT NULL DEFAULT 0;
`
