/** How much of the log each commit rests on, and how much was known to be on the disk: for the start after a power cut. */
export const name = "0002-log-position"

export const sql = `
ALTER TABLE state ADD COLUMN log_end INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN log_synced INTEGER NOT NULL DEFAULT 0;
`
