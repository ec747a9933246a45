/** Starts the vault's process, which goes on by itself when the vault is unlocked. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, existsSync, openSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { join } from "node:path"
import type { Readable, Writable } from "node:stream"
import type { StartOrder, StartReport } from "../../../vault/service/start.ts"
import type { PersonSecret } from "../../../keyring/secret-protector.ts"
import { wipe } from "../../../keyring/secret.ts"
import { Fault } from "../../core/fault.ts"

const MAIN = fileURLToPath(new URL("../../../vault/service/main.js", import.meta.url))
const LOG = "vault.log"
const BUS = "DBUS_SYSTEM_BUS_ADDRESS"

export interface Start {
  readonly person?: PersonSecret | undefined
  readonly pin?: Buffer | undefined
  readonly adopts?: boolean
}

/** Resolves when the vault is unlocked. Throws what kept the process from it. */
export async function startVault(directory: string, { person, pin, adopts = false }: Start): Promise<void> {
  if (!existsSync(join(directory, "vault.db")))
    throw new Fault("not-found", `there is no vault in ${directory}`, { hint: "clawfs vault init" })
  const log = openSync(join(directory, LOG), "a", 0o600)
  const bus = process.env[BUS]
  const child = spawn(process.execPath, [MAIN], {
    ...{ cwd: "/", detached: true, stdio: ["ignore", "ignore", log, "pipe", "pipe"] },
    // Nothing of the caller's environment is the vault's business, but where the bus is that tells of suspends.
    env: { PATH: process.env["PATH"], LANG: "C.UTF-8", ...(bus === undefined ? {} : { [BUS]: bus }) },
  })
  closeSync(log)
  child.unref()
  const order: StartOrder = {
    ...{ directory, adopts, uid: process.getuid?.() ?? 0, pid: process.pid, pinBytes: pin?.length ?? 0 },
    person: person === undefined ? undefined : { kind: person.kind, bytes: person.secret.length },
  }
  const line = Buffer.from(`${JSON.stringify(order)}\n`)
  const message = Buffer.concat([line, person?.secret ?? EMPTY, pin ?? EMPTY])
  const [input, output] = [child.stdio[3] as Writable, child.stdio[4] as Readable]
  input.on("error", () => undefined)
  input.end(message, () => wipe(message))
  const chunks: Buffer[] = []
  output.on("data", (chunk: Buffer) => chunks.push(chunk))
  await once(output, "close")
  const report = reportIn(Buffer.concat(chunks).toString(), directory)
  if (report.ok) return
  const { kind, message: text, hint } = report.error
  throw new Fault(kind, text, { hint })
}

const EMPTY = Buffer.alloc(0)

function reportIn(text: string, directory: string): StartReport {
  if (text.endsWith("\n")) return JSON.parse(text) as StartReport
  const log = readFileSync(join(directory, LOG), "utf8").trim().split("\n").at(-1) ?? ""
  throw new Fault("io", "the vault's process ended without a word", { hint: log.slice(0, 200) })
}
