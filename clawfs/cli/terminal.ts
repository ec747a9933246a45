import { plainText } from "../core/plain-text.ts"

/**
 * How clawfs talks. Results go to stdout and nothing else does. Everything else goes to stderr, prefixed `clawfs:`, lower
 * case, without a full stop; what to do about an error is a line of its own, prefixed `hint:`. No stack traces for what a
 * user did.
 */
export interface Terminal {
  /** A result, for people or for pipes. */
  out(text: string): void
  /** A remark about the work. */
  note(text: string): void
  fail(message: string, hint?: string): void
}

/** One line, whatever somebody's file has in it that the message tells. */
function shown(text: string): string {
  return plainText(text.trimEnd().replaceAll(/\s*\n\s*/g, " "))
}

export const processTerminal: Terminal = {
  out: (text) => void process.stdout.write(`${text}\n`),
  note: (text) => void process.stderr.write(`clawfs: ${text}\n`),
  fail: (message, hint) => {
    process.stderr.write(`clawfs: ${shown(message)}\n`)
    if (hint !== undefined) process.stderr.write(`hint: ${hint}\n`)
  },
}
