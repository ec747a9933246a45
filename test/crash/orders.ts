/** Carries out steps with a load's directory as a whole, as the command line program does. */
import { closeSync, openSync, writeSync } from "node:fs"
import { join } from "node:path"
import { call } from "../../clawfs/api/client.ts"
import { inside } from "../../clawfs/cli/inside.ts"
import { keysOf } from "../../clawfs/cli/encrypted-tree.ts"
import { runEncrypt, runLock, runRekey, runUnlock } from "../../clawfs/cli/run/encryption.ts"
import type { Terminal } from "../../clawfs/cli/terminal.ts"
import { Fault } from "../../clawfs/core/fault.ts"
import { sleep } from "../helpers/exec.ts"
import type { TreeStep } from "./draft.ts"
import { keyFilePath } from "./unlocking.ts"

export interface Place {
  readonly directory: string
  readonly store: string
  /** Where the key files are. */
  readonly keys: string
}

/** libuv, and so Node, has no name for it. */
const EDQUOT = 122
const POLL_MS = 20

/** Failures are thrown; the rest is of no interest. */
const terminal: Terminal = { out: () => undefined, note: () => undefined, fail: () => undefined }

export async function carryOut(step: TreeStep, place: Place): Promise<void> {
  const { directory, store, keys } = place
  const order = (method: string, params: Record<string, unknown>): Promise<unknown> =>
    call(store, method, { ...params, path: inside(directory).path })
  const key = (number: number): string => keyFilePath(keys, number)
  await untilServed(store)
  switch (step.op) {
    case "snapshot":
      await order("snapshot.create", { name: step.name, isWritable: false })
      return
    case "deleteSnapshot":
      await call(store, "snapshot.delete", { name: step.name })
      return
    case "restore":
      await order("snapshot.restore", { name: step.name, isForced: true })
      return
    case "encrypt":
      await runEncrypt({ values: { "key-file": key(step.key) }, operands: [directory], terminal })
      return
    case "rekey": {
      await untilRewrapped(store)
      const values = { "key-file": key(step.from), "new-key-file": key(step.to) }
      await runRekey({ values, operands: [directory], terminal })
      return
    }
    case "relock":
      await runLock({ values: {}, operands: [directory], terminal })
      await unlock(place, step.key)
      return
    case "limit":
      await order("quota.set", { bytes: step.bytes, inodes: step.inodes })
      return
    case "unlimit":
      await order("quota.remove", {})
      return
    case "refused":
      beRefused(join(directory, step.path), step.at)
      return
    case "clean":
      await call(store, "clean")
  }
}

export async function unlock({ directory, keys }: Place, key: number): Promise<void> {
  await runUnlock({ values: { "key-file": keyFilePath(keys, key) }, operands: [directory], terminal })
}

/** A server that was killed is replaced in a moment. */
async function untilServed(store: string): Promise<void> {
  for (;;) {
    try {
      await call(store, "status")
      return
    } catch (thrown) {
      // The socket is not there yet, or still that of the dead one.
      if (!(thrown instanceof Fault && (thrown.kind === "not-found" || thrown.kind === "io"))) throw thrown
      await sleep(POLL_MS)
    }
  }
}

/** There is one re-keying at a time. */
async function untilRewrapped(store: string): Promise<void> {
  while ((await keysOf(store)).keys.some(({ rekeying }) => rekeying)) await sleep(POLL_MS)
}

/** A byte at `at`, or without it a new file, is too much for a limit. */
function beRefused(path: string, at: number | undefined): void {
  const fd = at === undefined ? undefined : openSync(path, "r+")
  try {
    if (fd === undefined) closeSync(openSync(path, "wx"))
    else writeSync(fd, Buffer.alloc(100, "x"), 0, 100, at)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).errno === -EDQUOT) return
    throw thrown
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
  throw new Error(`a limit let ${path} grow`)
}
