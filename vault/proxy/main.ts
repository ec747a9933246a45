/** The process of the egress proxy. The vault's process starts it, tells it where to listen, and is asked about each request. */
import { closeSync, createReadStream, fstatSync, openSync, readSync, writeSync, constants } from "node:fs"
import { lookup } from "node:dns/promises"
import { join } from "node:path"
import { describe, Fault, kindOfThrown, type FaultKind } from "../../clawfs/core/fault.ts"
import { Log } from "../../clawfs/core/log.ts"
import { memoryFile } from "../../clawfs/sys/memory-file.ts"
import { pipe } from "../../clawfs/sys/pipes.ts"
import { forbidDumps } from "../../clawfs/sys/no-dumps.ts"
import { connectTo, receiveMessage, sendMessage, throughShortPath } from "../../clawfs/sys/seqpacket.ts"
import { newSecret } from "../../keyring/secret.ts"
import { VAULT_SOCKET } from "../../schema/vault-api.ts"
import type { ProxyOrder, ProxyReport } from "./order.ts"
import type { Given, Plan, VaultLink } from "./link.ts"
import type { LeakScanner } from "../leaks.ts"
import { scannerOf, type Decoy } from "./decoys.ts"
import { ProxyServer } from "./server.ts"

const ORDER_FD = 3
const REPORT_FD = 4
const TIMEOUT_SECONDS = 30
const MOST_VALUE_BYTES = 64 * 1024
const LOOK_MS = 2000
const O_PATH = 0o10000000
const PROXY_SOCKET = "proxy.sock"

const log = new Log("vault-proxy")
forbidDumps()

type Answer =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: { kind: FaultKind; message: string } }

/** One connection, kept: the vault knows this process by it. */
class Vault {
  readonly #fd: number

  constructor(directory: string) {
    const fd = throughShortPath(directory, VAULT_SOCKET, (path) => connectTo(path, TIMEOUT_SECONDS))
    if (fd === undefined) throw new Fault("locked", "the vault is locked")
    this.#fd = fd
  }

  ask(method: string, params: object, fds: readonly number[] = []): unknown {
    if (!sendMessage(this.#fd, Buffer.from(JSON.stringify({ method, params })), fds))
      throw new Fault("invalid", "the request is too long")
    const message = receiveMessage(this.#fd, { wait: true })
    if (typeof message !== "object") throw new Fault("locked", "the vault does not answer")
    const answer = JSON.parse(message.data.toString()) as Answer
    if (answer.ok) return answer.result
    throw new Fault(answer.error.kind, answer.error.message)
  }
}

function linkTo(directory: string): VaultLink {
  const vault = new Vault(directory)
  let [looked, asks] = [0, false]
  let known: ReturnType<typeof decoysFrom> | undefined
  return {
    uidOf: (token) => (vault.ask("inject.look", { token: token.slice(0, 255) }) as { uid?: number }).uid,
    asksInFull: () => {
      if (Date.now() - looked > LOOK_MS)
        asks = (vault.ask("inject.look", {}) as { asksInFull: boolean }).asksInFull
      looked = Date.now()
      return asks
    },
    plan: (wanted) => vault.ask("inject.plan", wanted) as Plan,
    use: (wanted, grant, address) => {
      const [reading, writing] = pipe()
      try {
        const { bytes, version } = vault.ask("inject", { ...wanted, grant, address, fd: 0 }, [writing]) as {
          bytes: number
          version: string
        }
        return { value: readValue(reading, bytes), version }
      } finally {
        closeSync(reading)
        closeSync(writing)
      }
    },
    decoys: (number) => {
      if (number === 0) return undefined
      if (known === undefined || known.number !== number) known = decoysFrom(vault)
      return known.scanner
    },
    tried: (wanted, names, where) => void vault.ask("inject.tried", { ...wanted, names, where }),
    leaked: (wanted, grant, count) => void vault.ask("inject.leak", { ...wanted, grant, count }),
  }
}

/** Decoys are handed over as they are: nobody can do anything with them. */
function decoysFrom(vault: Vault): { readonly number: number; readonly scanner: LeakScanner | undefined } {
  const fd = memoryFile("clawfs-decoys")
  try {
    vault.ask("inject.decoys", { fd: 0 }, [fd])
    const bytes = Buffer.alloc(fstatSync(fd).size)
    for (let at = 0; at < bytes.length;) at += readSync(fd, bytes, at, bytes.length - at, at)
    const { number, decoys } = JSON.parse(bytes.toString()) as { number: number; decoys: Decoy[] }
    return { number, scanner: decoys.length === 0 ? undefined : scannerOf(decoys) }
  } finally {
    closeSync(fd)
  }
}

function readValue(fd: number, bytes: number): Given["value"] {
  if (bytes > MOST_VALUE_BYTES) throw new Fault("io", "the vault gave another value than it said")
  const value = newSecret(bytes)
  for (let at = 0; at < bytes;) at += readSync(fd, value, at, bytes - at, null)
  return value
}

/** The first line of the order. Its pipe stays open as long as the vault's process lives. */
async function readOrder(): Promise<ProxyOrder> {
  const stream = createReadStream("", { fd: ORDER_FD })
  let text = ""
  return await new Promise((resolve, reject) => {
    stream.on("data", (chunk) => {
      text += String(chunk)
      if (text.endsWith("\n")) resolve(JSON.parse(text) as ProxyOrder)
    })
    stream.on("end", () => {
      reject(new Fault("interrupted", "the vault is gone"))
      process.kill(process.pid, "SIGTERM")
    })
    stream.on("error", reject)
  })
}

function report(answer: ProxyReport): void {
  writeSync(REPORT_FD, `${JSON.stringify(answer)}\n`)
  closeSync(REPORT_FD)
}

async function serve(): Promise<void> {
  let finish = (): void => undefined
  const finished = new Promise<void>((resolve) => (finish = resolve))
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, finish)
  process.on("SIGHUP", () => log.debug("signal ignored", { signal: "SIGHUP" }))
  const { directory, port } = await readOrder()
  const resolve = async (host: string): Promise<string[]> => {
    try {
      const found = await lookup(host, { all: true, order: "ipv4first" })
      return found.map(({ address }) => address)
    } catch (cause) {
      throw new Fault("io", "the host of the grant has no address", { cause })
    }
  }
  const server = new ProxyServer({ link: linkTo(directory), resolve, log })
  try {
    // A socket's address is short: the directory's own name may be long.
    const fd = openSync(directory, O_PATH | constants.O_DIRECTORY)
    await server.listenOnSocket(`/proc/self/fd/${fd}/${PROXY_SOCKET}`)
    const bound = port === undefined ? undefined : await server.listenOnLoopback(port)
    report({ ok: true, socket: join(directory, PROXY_SOCKET), port: bound })
    await finished
  } finally {
    await server.close()
  }
}

try {
  await serve()
} catch (thrown) {
  const { code } = thrown as NodeJS.ErrnoException
  const kind = thrown instanceof Fault ? thrown.kind : code === "EADDRINUSE" ? "exists" : kindOfThrown(thrown)
  log.error("proxy ended", { reason: describe(thrown) })
  try {
    report({ ok: false, kind, message: describe(thrown) })
  } catch {
    // Told already, or nobody is there to be told.
  }
  process.exitCode = 1
}
