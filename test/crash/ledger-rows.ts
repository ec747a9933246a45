/** What the ledger holds, known to who writes it and to who judges it. */
export const LEDGER = "ledger.db"

export const rowText = (id: number): string => `row ${id} `.repeat(1 + ((id * 97) % 260))
