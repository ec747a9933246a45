/** The thread that helps the serving thread to seal and open records (`keyring/record-crew.ts`). */
import { workerData } from "node:worker_threads"
import { helpCrew } from "../../keyring/record-crew.ts"
import type { ServerCrew } from "./messages.ts"
import { raisePriority } from "./priority.ts"

const { memory } = workerData as ServerCrew
raisePriority()
helpCrew(memory)
