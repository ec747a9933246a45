/** Finds what points into a segment: the cleaner moves records, not files. */
export const name = "0003-extent-place"

export const sql = `
CREATE INDEX extent_place ON extent (segment, position) WHERE segment != 0;
`
