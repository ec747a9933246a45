/** Questions to a person, at the terminal. */
import { closeSync, openSync, readSync, writeSync } from "node:fs"

const MOST_LINE = 256

/**
 * One of `words`, or what it begins with; the first for an empty line and the terminal's end. Undefined where there is no terminal.
 */
export function askWord<W extends string>(question: string, words: readonly [W, ...W[]]): W | undefined {
  const terminal = openTerminal()
  if (terminal === undefined) return undefined
  try {
    for (;;) {
      writeSync(terminal, `${question} [${words.join("/")}] `)
      const line = Buffer.alloc(MOST_LINE)
      const text = line.toString("utf8", 0, readSync(terminal, line)).trim().toLowerCase()
      const exact = words.find((word) => word === text)
      const found = exact ?? words.find((word) => word.startsWith(text))
      if (found !== undefined) return found
    }
  } finally {
    closeSync(terminal)
  }
}

function openTerminal(): number | undefined {
  try {
    return openSync("/dev/tty", "r+")
  } catch {
    // No terminal belongs to this process.
    return undefined
  }
}
