/** What the repository's commits hold, known to who makes them and to who judges them. */
export const BRANCH = "main"

const FILES = 3

export const changedIn = (commit: number): string => `file-${commit % FILES}`
export const committedText = (commit: number): string =>
  `commit ${commit}\n`.repeat(1 + ((commit * 971) % 4000))
