/** What the disk below a mix says it has left. */
export const disk = { isFull: false }
