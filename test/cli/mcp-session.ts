/** For the tests of `clawfs mcp`: a session of the official client with the built program, and a directory to be confined to. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect } from "vitest"
import { bin, type Place } from "./harness.ts"

export class Session implements AsyncDisposable {
  readonly client = new Client({ name: "test", version: "1.0.0" })
  readonly #transport: StdioClientTransport
  #stderr = ""

  private constructor(args: readonly string[], cwd: string) {
    this.#transport = new StdioClientTransport({
      command: process.execPath,
      args: [bin, "mcp", ...args],
      cwd,
      stderr: "pipe",
    })
    this.#transport.stderr?.on("data", (chunk: Buffer) => (this.#stderr += chunk.toString()))
  }

  static async open(args: readonly string[], cwd = "/"): Promise<Session> {
    const session = new Session(args, cwd)
    await session.client.connect(session.#transport)
    return session
  }

  /** The answer's texts; "Error: …" for one that says it failed. */
  async call(name: string, input: Record<string, unknown> = {}): Promise<string> {
    const { content, isError } = await this.client.callTool({ name, arguments: input })
    const texts = (content as { type: string; text: string }[]).map(({ text }) => text)
    return `${isError === true ? "Error: " : ""}${texts.join("\n")}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close()
    expect(this.#stderr).toBe("")
  }
}

export interface Directory {
  readonly root: string
  readonly outside: string
}

/** A root with a file in it, and something outside. */
export function directory(place: Place): Directory {
  const base = place.directory()
  const paths = { root: join(base, "root"), outside: join(base, "outside") }
  mkdirSync(paths.root)
  mkdirSync(paths.outside)
  writeFileSync(join(paths.root, "file.txt"), "one\ntwo\n")
  writeFileSync(join(paths.outside, "secret"), "what is outside")
  return paths
}

/** A process that exchanges two names until the scope ends. */
export async function exchanging(one: string, other: string): Promise<AsyncDisposable> {
  const script = `
    const exchange = require("koffi").load("libc.so.6")
      .func("int renameat2(int, const char*, int, const char*, unsigned int)")
    const [one, other] = process.argv.slice(1)
    const swap = () => { for (let i = 0; i < 50; i++) exchange(-100, one, -100, other, 2); setImmediate(swap) }
    process.stdin.on("end", () => process.exit()).resume()
    process.stdout.write("ready", swap)`
  const child = spawn(process.execPath, ["-e", script, one, other], { stdio: ["pipe", "pipe", "inherit"] })
  await once(child.stdout, "data")
  return {
    [Symbol.asyncDispose]: async () => {
      child.stdin.end()
      await once(child, "exit")
    },
  }
}
