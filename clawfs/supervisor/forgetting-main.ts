/** The thread of `Forgetting`: one order after the other, each of which may wait for programs. */
import { parentPort, workerData } from "node:worker_threads"
import { present } from "../core/assert.ts"
import { Log } from "../core/log.ts"
import { invalidate } from "../fuse/notify.ts"
import type { ForgetOrder, ForgettingData } from "./forgetting.ts"

const { fuse, logLevel } = workerData as ForgettingData
const supervisor = present(parentPort, "parent port")
const log = new Log("forgetting", { level: logLevel })

supervisor.on("message", ({ id, stale }: ForgetOrder) => {
  invalidate(fuse, stale, log)
  supervisor.postMessage(id)
})
