/** A worker thread that helps the crew whose memory it is given. */
import { workerData } from "node:worker_threads"
import { helpCrew, type CrewMemory } from "../../../keyring/record-crew.ts"

helpCrew(workerData as CrewMemory)
