/**
 * Answers are looked through for values of the vault's secrets before the model sees them. The vault's process does it: nothing
 * that could tell a value is in this one.
 */
import { closeSync, fstatSync, readSync, writeSync } from "node:fs"
import type { LeakAction } from "../../schema/vault-api.ts"
import { VaultLink } from "../api/vault-link.ts"
import { Fault } from "../core/fault.ts"
import { memoryFile } from "../sys/memory-file.ts"

/** The vault answers one request after the other, and learns all values at the first. */
const TIMEOUT_SECONDS = 30

export class LeakGuard implements Disposable {
  readonly #directory: string
  readonly #action: LeakAction
  #link: VaultLink | undefined

  /** `directory`: the vault's. */
  constructor(directory: string, action: LeakAction) {
    this.#directory = directory
    this.#action = action
  }

  /**
   * What may be shown of these texts. Throws `Fault("denied")` for what is blocked, "locked" when nobody can look, unless all is
   * shown anyway (`alert`): then a remark says so.
   */
  check(texts: readonly string[]): readonly string[] {
    const link = this.#connected()
    if (link !== undefined) return texts.map((text) => this.#checked(link, text))
    if (this.#action === "alert") return [...texts, "[not looked through for secrets: the vault is locked]"]
    throw new Fault(
      "locked",
      "the answer is not shown: the vault is locked, so nobody can tell whether a secret is in it",
      { hint: "clawfs vault unlock" },
    )
  }

  #connected(): VaultLink | undefined {
    if (this.#link?.hasEnded() === true) this[Symbol.dispose]()
    this.#link ??= VaultLink.connect(this.#directory, TIMEOUT_SECONDS)
    return this.#link
  }

  #checked(link: VaultLink, text: string): string {
    const [from, out] = [inMemory(), inMemory()]
    try {
      const bytes = Buffer.from(text)
      for (let at = 0; at < bytes.length;) at += writeSync(from, bytes, at, bytes.length - at, at)
      const params = { from: 0, out: 1, channel: "mcp", action: this.#action }
      const { leaks, secrets } = link.request("scan", params, [from, out]) as {
        leaks: number
        secrets: readonly string[]
      }
      if (leaks === 0 || this.#action === "alert") return text
      if (this.#action === "redact") return contentsOf(out)
      throw new Fault("denied", `the answer is not shown: it has ${secrets.join(", ")} of the vault in it`)
    } finally {
      closeSync(from)
      closeSync(out)
    }
  }

  [Symbol.dispose](): void {
    this.#link?.[Symbol.dispose]()
    this.#link = undefined
  }
}

function inMemory(): number {
  return memoryFile("clawfs-answer")
}

function contentsOf(fd: number): string {
  const bytes = Buffer.alloc(fstatSync(fd).size)
  for (let at = 0; at < bytes.length;) at += readSync(fd, bytes, at, bytes.length - at, at)
  return bytes.toString()
}
