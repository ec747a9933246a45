/** Starts and ends the egress proxy, a process of its own: it has no key, and each value for one request. */
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import type { Readable, Writable } from "node:stream"
import { Fault } from "../../clawfs/core/fault.ts"
import type { ProxyOrder, ProxyReport } from "../proxy/order.ts"

const MAIN = fileURLToPath(new URL("../proxy/main.js", import.meta.url))
const START_MS = 20_000

export class ProxyProcess {
  #child: ChildProcess | undefined
  #where: ProxyReport | undefined

  /** The process that may ask for values; undefined: none. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Where it listens; undefined when it does not run. */
  get where(): ProxyReport | undefined {
    return this.#where
  }

  /** Resolves when it listens. Throws `Fault("exists")` when one does already. */
  async start(order: ProxyOrder): Promise<ProxyReport> {
    if (this.#child !== undefined)
      throw new Fault("exists", "the proxy runs already", { hint: "clawfs vault proxy stop" })
    const child = spawn(process.execPath, [MAIN], {
      ...{ cwd: "/", stdio: ["ignore", "ignore", "inherit", "pipe", "pipe"] },
      env: { PATH: process.env["PATH"], LANG: "C.UTF-8" },
    })
    this.#child = child
    child.once("exit", () => {
      this.#child = undefined
      this.#where = undefined
    })
    // It ends when this pipe does: with the vault's process, however that ends.
    const [input, output] = [child.stdio[3] as Writable, child.stdio[4] as Readable]
    input.on("error", () => child.kill("SIGKILL"))
    input.write(`${JSON.stringify(order)}\n`)
    const report = await reportOf(child, output)
    if (!report.ok) {
      child.kill("SIGKILL")
      throw new Fault(report.kind, report.message)
    }
    this.#where = report
    return report
  }

  async stop(): Promise<void> {
    const child = this.#child
    if (child === undefined) return
    const ended = once(child, "exit")
    child.kill("SIGTERM")
    const late = setTimeout(() => child.kill("SIGKILL"), 2000)
    await ended
    clearTimeout(late)
  }
}

async function reportOf(child: ChildProcess, output: Readable): Promise<ProxyReport> {
  const chunks: Buffer[] = []
  output.on("data", (chunk: Buffer) => chunks.push(chunk))
  const late = setTimeout(() => child.kill("SIGKILL"), START_MS)
  await once(output, "close")
  clearTimeout(late)
  const text = Buffer.concat(chunks).toString()
  if (text.endsWith("\n")) return JSON.parse(text) as ProxyReport
  return { ok: false, kind: "io", message: "the proxy ended without a word" }
}
