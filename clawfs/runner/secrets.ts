/**
 * The secrets of one run (docs/VAULT.md): the vault's process writes them to pipes that lead into the sandbox, and filters what the
 * tool writes on its way to the caller. This process has the pipes in its hands, never a value.
 */
import { closeSync, fchownSync } from "node:fs"
import { Socket } from "node:net"
import type { ToolSecretsReport } from "../../schema/vault-api.ts"
import { VaultLink } from "../api/vault-link.ts"
import { Fault } from "../core/fault.ts"
import { closeAll, pipe } from "../sys/pipes.ts"
import { NOBODY } from "./bwrap.ts"
import type { SecretUse } from "./plan.ts"

const ANSWER_MS = 30_000
const MOST_REPORT = 64 * 1024
/** Grants speak of the first arguments, and of no longer ones: what is behind need not be told. */
const MOST_ARGS = 64
const MOST_ARG = 4097

export interface SecretsRequest {
  /** The vault's directory. */
  readonly vault: string
  readonly uses: readonly SecretUse[]
  readonly tool: string
  /** SHA-256 of its file, hexadecimal. */
  readonly program: string
  readonly args: readonly string[]
  readonly caller: { readonly uid: number; readonly pid: number }
  /** Where its output goes; they stay the caller's. */
  readonly stdout: number
  readonly stderr: number
}

/** Disposing of it ends the vault's part, whatever has not been passed on. */
export class Secrets implements Disposable {
  readonly #link: VaultLink
  /** Ends of pipes that the sandbox gets. */
  readonly #inside: number[]
  /** The values, in the order of the plan. */
  readonly values: readonly number[]
  /** What the tool has instead of its caller's stdout and stderr. */
  readonly output: readonly [stdout: number, stderr: number]
  /** Resolves when all of the output is passed on; with undefined when the vault has ended before that. */
  readonly done: Promise<ToolSecretsReport | undefined>

  private constructor(
    link: VaultLink,
    values: readonly number[],
    output: readonly [number, number],
    report: number,
  ) {
    this.#link = link
    this.values = values
    this.output = output
    this.#inside = [...values, ...output]
    this.done = readReport(report)
  }

  /** Rejects with one sentence when the vault does not give them: nothing has been started then. */
  static async open(request: SecretsRequest): Promise<Secrets> {
    const { uses, tool, program, args, caller, stdout, stderr } = request
    const link = connected(request)
    const [mine, theirs]: [number[], number[]] = [[], []]
    const pair = (): readonly [reading: number, writing: number] => pipe()
    try {
      const values = uses.map(() => {
        const [reading, writing] = pair()
        mine.push(reading)
        theirs.push(writing)
        // It may be opened once more by its path in the sandbox.
        if (process.getuid?.() === 0) fchownSync(reading, NOBODY, NOBODY)
        return reading
      })
      const output = [stdout, stderr].map(() => {
        const [reading, writing] = pair()
        theirs.push(reading)
        mine.push(writing)
        if (process.getuid?.() === 0) fchownSync(writing, NOBODY, NOBODY)
        return writing
      })
      const [reading, writing] = pair()
      mine.push(reading)
      theirs.push(writing)
      const fds = [...theirs, stdout, stderr]
      const at = (fd: number): number => fds.indexOf(fd)
      await link.requestLater(
        "tool.exec",
        {
          ...{ subject: caller, tool, program },
          args: args.slice(0, MOST_ARGS).map((arg) => arg.slice(0, MOST_ARG)),
          uses: uses.map(({ name }, n) => ({ name, fd: n })),
          output: [
            { from: uses.length, to: at(stdout) },
            { from: uses.length + 1, to: at(stdout) + 1 },
          ],
          report: at(writing),
        },
        fds,
        ANSWER_MS,
      )
      return new Secrets(link, values, output as [number, number], reading)
    } catch (thrown) {
      closeAll(mine)
      link[Symbol.dispose]()
      throw refused(request, thrown)
    } finally {
      closeAll(theirs)
    }
  }

  /** The sandbox has its own by now, or will never be. */
  handedOver(): void {
    for (const fd of this.#inside.splice(0)) closeSync(fd)
  }

  [Symbol.dispose](): void {
    this.handedOver()
    this.#link[Symbol.dispose]()
  }
}

function connected({ vault, uses }: SecretsRequest): VaultLink {
  const link = VaultLink.connect(vault, ANSWER_MS / 1000)
  if (link !== undefined) return link
  throw new Fault("locked", `it needs ${named(uses)}, and no vault is unlocked in ${vault}`, {
    hint: "clawfs vault unlock",
  })
}

function named(uses: readonly SecretUse[]): string {
  const names = uses.map(({ name }) => name)
  return `the ${names.length === 1 ? "secret" : "secrets"} ${names.join(", ")}`
}

/** The vault does not say which of them it refuses, nor why. */
function refused({ uses, tool }: SecretsRequest, thrown: unknown): unknown {
  if (!(thrown instanceof Fault) || thrown.kind !== "denied") return thrown
  return new Fault("denied", `the vault does not grant it ${named(uses)}`, {
    cause: thrown,
    hint: `clawfs vault grant NAME --verb exec --tool ${tool}`,
  })
}

function readReport(fd: number): Promise<ToolSecretsReport | undefined> {
  return new Promise((resolve) => {
    const socket = new Socket({ fd, readable: true, writable: false })
    let text = ""
    socket.setEncoding("utf8")
    socket.on("data", (chunk: string) => {
      if (text.length < MOST_REPORT) text += chunk
    })
    socket.on("error", () => socket.destroy())
    socket.once("close", () =>
      resolve(text.endsWith("\n") ? (JSON.parse(text) as ToolSecretsReport) : undefined),
    )
  })
}
