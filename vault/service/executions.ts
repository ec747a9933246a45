/** What `exec` and `tool.exec` do: who gets a value is decided here, by grants; then programs and tools get it. */
import { closeSync } from "node:fs"
import { Fault } from "../../clawfs/core/fault.ts"
import type { Log } from "../../clawfs/core/log.ts"
import { RESERVED_VARIABLES, type VaultParams } from "../../schema/vault-api.ts"
import type { Subject } from "../audit.ts"
import type { Grants, Use } from "../grants.ts"
import type { Vault } from "../vault.ts"
import { concealed, descriptorOf } from "./answers.ts"
import type { Call } from "./call.ts"
import type { LeakGuard } from "./leak-guard.ts"
import { Runner, type Executed, type WithValue } from "./exec.ts"
import { sealedCopy } from "./program.ts"
import { ToolSecrets } from "./tool-secrets.ts"

export interface ExecutionsOptions {
  readonly log: Log
  /** Looks for canaries among the names. */
  readonly guard: (names: readonly string[], subject: Subject) => void
  /** Whether a grant names the program that asks, or its control group. */
  readonly asksInFull: () => boolean
  readonly leaks: LeakGuard
}

export class Executions {
  readonly #vault: Vault
  readonly #grants: Grants
  readonly #options: ExecutionsOptions
  readonly #runner: Runner
  readonly #toolSecrets: ToolSecrets

  constructor(vault: Vault, grants: Grants, options: ExecutionsOptions) {
    this.#vault = vault
    this.#grants = grants
    this.#options = options
    this.#runner = new Runner(vault, options.leaks)
    this.#toolSecrets = new ToolSecrets(vault, options.leaks, options.log)
  }

  /** Runs a program with secrets. The grant may name the program by its hash: then a sealed copy of it runs. */
  async exec(call: Call<VaultParams<"exec">>): Promise<Executed> {
    const { params, fds, isOwner, subject, gid, whenGone } = call
    const { program, args, uses, environment, directory, stdin, stdout, stderr } = params
    const asking = subject({ inFull: this.#options.asksInFull() })
    const names = new Set(uses.map(({ variable }) => variable))
    const misused = [...names].find((variable) => RESERVED_VARIABLES.test(variable))
    if (misused !== undefined) throw new Fault("invalid", `${misused} is no variable for a secret`)
    if (names.size !== uses.length) throw new Fault("invalid", "two secrets want the same variable")
    this.#options.guard(
      uses.map(({ name }) => name),
      asking,
    )
    const sealed = this.#namesProgram(
      uses.map(({ name }) => name),
      asking.uid,
    )
      ? sealedCopy(program)
      : undefined
    try {
      const plan = {
        ...{ program, args, uses, environment, directory, uid: asking.uid, gid, sealed: sealed?.fd },
        stdin: descriptorOf(fds, stdin),
        stdout: descriptorOf(fds, stdout),
        stderr: descriptorOf(fds, stderr),
      }
      const withValue: WithValue = (name, work) =>
        this.#vault.use(asking, "exec", { name }, work, ({ id }) =>
          this.#take(id, asking, { program: sealed?.hash, args }),
        )
      const result = await this.#runner.start(plan, withValue, whenGone)
      if (result.leaks > 0)
        this.#options.leaks.note(asking, {
          ...{ channel: "exec", action: "redact", program, count: result.leaks, names: result.leaked },
        })
      return result
    } catch (thrown) {
      throw isOwner ? thrown : concealed(thrown)
    } finally {
      if (sealed !== undefined) closeSync(sealed.fd)
    }
  }

  /**
   * The owner's runner, or root's, asks for somebody who has called a tool, and is believed who that is and which tool: grants
   * to tools say so themselves (`Grant.tool`), and others don't count here.
   */
  execTool({ params, fds, subject, whenGone }: Call<VaultParams<"tool.exec">>): void {
    const { tool, program, args, uses } = params
    const runner = subject().pid
    const asking: Subject = params.subject
    this.#options.guard(
      uses.map(({ name }) => name),
      asking,
    )
    const detail = { tool, runner }
    const withValue: WithValue = (name, work) =>
      this.#vault.use(asking, "exec", { name, detail }, work, ({ id }) => {
        this.#take(id, asking, { program, tool, args })
      })
    try {
      this.#toolSecrets.give(params, fds, withValue, whenGone, ({ leaks, leaked }) =>
        this.#options.leaks.note(asking, {
          ...{ channel: "tool", action: "redact", ...detail, count: leaks, names: leaked },
        }),
      )
    } catch (thrown) {
      // What it says comes to whoever has called the tool.
      throw concealed(thrown)
    }
  }

  /** Whether a grant for one of the secrets, to this user, says which program: only then is it copied. */
  #namesProgram(names: readonly string[], asker: number): boolean {
    const ids = names.map((name) => this.#vault.find(name)?.id.toString("hex"))
    return this.#grants
      .all(this.#vault.keys)
      .some(
        ({ secret, program, uid }) =>
          program !== undefined && ids.includes(secret) && (uid === undefined || uid === asker),
      )
  }

  /** Takes a use off a grant; the caller is in the use's transaction. */
  #take(secret: Buffer, subject: Subject, use: Pick<Use, "program" | "tool" | "args">): number {
    return this.#grants.take(this.#vault.keys, { secret, verb: "exec", subject, ...use }, Date.now())
  }

  /** What runs with secrets ends. */
  stop(): void {
    this.#runner.stop()
    this.#toolSecrets.stop()
  }
}
