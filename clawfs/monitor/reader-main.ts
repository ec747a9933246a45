/** A thread of the runner: takes records out of the ring, makes events of them, and writes the log. */
import { parentPort, workerData } from "node:worker_threads"
import { present } from "../core/assert.ts"
import { Log } from "../core/log.ts"
import type { FromReader, ReaderData, ToReader } from "./messages.ts"
import { Reader } from "./reader.ts"

const port = present(parentPort, "parent")
const data = workerData as ReaderData
const tell = (message: FromReader): void => port.postMessage(message)
const log = new Log("monitor", { level: data.logLevel })
const reader = await Reader.start(data, log)

port.on("message", (message: ToReader) => {
  switch (message.kind) {
    case "begin":
      reader.begin(message)
      break
    case "end":
      tell({ kind: "ended", run: message.run, summary: reader.end(message.run) })
      break
    case "event":
      reader.add(message.event)
      break
    case "totals":
      reader.totals = message.totals
      break
    case "close":
      void reader[Symbol.asyncDispose]().then(() => {
        tell({ kind: "closed" })
        port.close()
      })
      break
  }
})
tell({ kind: "ready" })
