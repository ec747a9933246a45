/**
 * `clawfs vault ssh-agent`: listens on a socket of its own, in a directory that is its user's alone, and has the vault sign. The
 * vault sees this process as who asks.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { createServer, type Server, type Socket } from "node:net"
import { constants, tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { Fault, describe } from "../../core/fault.ts"
import { ExitCode } from "../exit-code.ts"
import type { VaultAction } from "../vault/action.ts"
import { Attachments, callVault } from "../vault/client.ts"
import { AgentSession, type AgentKey, type AgentSigner } from "../vault/ssh-agent.ts"
import type { PublicKey } from "./vault-sign.ts"

const SIGNALLED = 128
const SSHSIG = Buffer.from("SSHSIG")

/** NAMES [PROGRAM ARGUMENTS] */
export async function sshAgent({ directory, values, operands, terminal }: VaultAction): Promise<ExitCode> {
  const [list = "", ...words] = operands
  const names = list.split(",")
  const keys = names.map((name): AgentKey => {
    const { ssh } = callVault(directory, "public-key", { name }) as PublicKey
    return { name, blob: Buffer.from(ssh, "base64") }
  })
  const sign: AgentSigner = ({ name, blob }, data) => {
    try {
      return signed(directory, name, blob, data)
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown
      terminal.note(`${name}: ${describe(thrown)}`)
      return undefined
    }
  }
  const own = values.socket === undefined ? mkdtempSync(join(tmpdir(), "clawfs-ssh-agent-")) : undefined
  const path = resolve(values.socket ?? join(own ?? "", "agent.sock"))
  const server = await listening(path, keys, sign)
  try {
    if (words.length > 0) return await run(words, path)
    terminal.out(`SSH_AUTH_SOCK=${path}; export SSH_AUTH_SOCK;`)
    await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM"), once(process, "SIGHUP")])
    return ExitCode.OK
  } finally {
    server.close()
    if (own === undefined) rmSync(path, { force: true })
    else rmSync(own, { recursive: true, force: true })
  }
}

function signed(directory: string, name: string, blob: Buffer, data: Buffer): Buffer {
  using attached = new Attachments()
  const kind = data.subarray(0, SSHSIG.length).equals(SSHSIG) ? "sshsig" : "ssh"
  const params = { name, kind, fd: attached.giveFile(data), publicKey: blob.toString("base64") }
  const { signature } = callVault(directory, "sign", params, attached.fds) as { signature: string }
  return Buffer.from(signature, "base64")
}

async function listening(path: string, keys: readonly AgentKey[], sign: AgentSigner): Promise<Server> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    const session = new AgentSession(keys, sign)
    sockets.add(socket)
    // A client that is gone is no failure of the agent.
    socket.on("error", () => socket.destroy())
    socket.on("close", () => sockets.delete(socket))
    socket.on("data", (chunk: Buffer) => {
      const answer = session.push(chunk)
      if (answer === undefined) socket.destroy()
      else socket.write(answer)
    })
  })
  server.on("close", () => sockets.forEach((socket) => socket.destroy()))
  const mask = process.umask(0o177)
  try {
    server.listen(path)
    await once(server, "listening")
  } catch (cause) {
    throw new Fault("exists", `the agent can't listen on ${path}`, { cause })
  } finally {
    process.umask(mask)
  }
  chmodSync(path, 0o600)
  return server
}

async function run([program = "", ...args]: readonly string[], path: string): Promise<ExitCode> {
  const child = spawn(program, args, { stdio: "inherit", env: { ...process.env, SSH_AUTH_SOCK: path } })
  // The terminal sends these to the program too.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal))
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((done, failed) => {
    child.on("error", (cause) => failed(new Fault("not-found", `${program} can't be run`, { cause })))
    child.on("close", (status, by) => done([status, by]))
  })
  return (code ?? SIGNALLED + (signal === null ? 0 : constants.signals[signal])) as ExitCode
}
