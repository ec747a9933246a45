/** Shows how far a long piece of work is, on stderr. */
import type { OnProgress } from "../fsck/pass.ts"
import type { Terminal } from "./terminal.ts"

const LINE_MS = 2000
const BAR_MS = 100
const BAR = 30

/** How far some work is: a bar where somebody looks on, a line now and then where the output is kept. */
export class ProgressLine implements Disposable {
  readonly #terminal: Terminal
  readonly #verb: string
  readonly #isSeen = process.stderr.isTTY
  #shownAt = performance.now()
  #isShown = false

  /** `verb`: what is being done, for the lines, such as "checking". */
  constructor(terminal: Terminal, verb: string) {
    this.#terminal = terminal
    this.#verb = verb
  }

  readonly show: OnProgress = (what, done, total) => {
    const now = performance.now()
    if (now - this.#shownAt < (this.#isSeen ? BAR_MS : LINE_MS)) return
    this.#shownAt = now
    const part = total > 0 ? Math.min(1, done / total) : 0
    const percent = total > 0 ? ` ${Math.floor(part * 100)} %` : ""
    if (!this.#isSeen) {
      this.#terminal.note(`${this.#verb}: ${what}${percent}`)
      return
    }
    const bar = "#".repeat(Math.round(part * BAR)).padEnd(BAR, ".")
    process.stderr.write(`\r[${bar}] ${what}${percent}\u001b[K`)
    this.#isShown = true
  }

  clear(): void {
    if (this.#isShown) process.stderr.write("\r\u001b[K")
    this.#isShown = false
  }
  [Symbol.dispose](): void {
    this.clear()
  }
}
