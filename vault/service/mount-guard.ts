/**
 * Mounts for the vault's process, hands it the connection, and takes the mount away when that process is gone or gives no sign
 * of life: nobody waits for ever for a vault that is stuck. Holds no keys and, once mounted, no connection. Argument: a
 * `GuardOrder` as JSON; descriptor 3: a socket to the vault's process.
 */
import { closeSync, lstatSync, writeFileSync } from "node:fs"
import { present } from "../../clawfs/core/assert.ts"
import { Fault, describe } from "../../clawfs/core/fault.ts"
import { Log } from "../../clawfs/core/log.ts"
import { mountFuse, unmountFuse } from "../../clawfs/fuse/mount.ts"
import { poll } from "../../clawfs/sys/libc.ts"
import { mountAt } from "../../clawfs/sys/mountinfo.ts"
import { receiveMessage, sendMessage } from "../../clawfs/sys/seqpacket.ts"
import { GUARD_SOCKET, VAULT_SUBTYPE, type GuardOrder, type GuardReport } from "./mount-words.ts"

const POLLFD = 8
const POLLIN = 1
const TYPE = `fuse.${VAULT_SUBTYPE}`

const log = new Log("vault-guard")
const { mountpoint, source, patienceMs } = JSON.parse(present(process.argv[2], "order")) as GuardOrder
// It ends with the vault, not with a terminal.
for (const signal of ["SIGINT", "SIGHUP", "SIGTERM"] as const) process.on(signal, () => undefined)

function report(answer: GuardReport, fds: readonly number[] = []): void {
  sendMessage(GUARD_SOCKET, Buffer.from(JSON.stringify(answer)), fds)
}

/** A mount that a killed guard has left is dead: it is taken away first. */
function clearDead(): void {
  if (mountAt(mountpoint)?.type !== TYPE) return
  try {
    lstatSync(mountpoint)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ENOTCONN") throw thrown
    unmountFuse(mountpoint, { lazy: true })
    return
  }
  throw new Fault("busy", `a vault is mounted on ${mountpoint} already`)
}

/** Until the vault's process closes its end, dies, or says nothing for too long. */
function watch(): "ended" | "stuck" {
  const fds = Buffer.alloc(POLLFD)
  fds.writeInt32LE(GUARD_SOCKET)
  fds.writeInt16LE(POLLIN, 4)
  for (;;) {
    if (poll(fds, 1, patienceMs) === 0) return "stuck"
    const message = receiveMessage(GUARD_SOCKET, { wait: false })
    if (message === undefined) return "ended"
  }
}

async function guard(): Promise<void> {
  clearDead()
  const options = { readOnly: false, allowOther: false, suid: false, dev: false, exec: false }
  const fd = await mountFuse({ mountpoint, source, subtype: VAULT_SUBTYPE, ...options })
  const entry = present(mountAt(mountpoint), "the mount")
  report({ ok: true }, [fd])
  // The vault's alone: with that process the connection ends.
  closeSync(fd)
  if (watch() === "stuck") {
    log.error("the vault's process gives no sign of life: its mount is taken away", { patienceMs })
    writeFileSync(`/sys/fs/fuse/connections/${entry.minor}/abort`, "1")
  }
  const now = mountAt(mountpoint)
  if (now?.device === entry.device) unmountFuse(mountpoint, { lazy: true })
}

try {
  await guard()
} catch (thrown) {
  const [kind, hint] = thrown instanceof Fault ? [thrown.kind, thrown.hint] : ["io" as const, undefined]
  log.error("guard failed", { reason: describe(thrown) })
  report({ ok: false, error: { kind, message: describe(thrown), hint } })
  process.exitCode = 1
}
