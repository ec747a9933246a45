/** The memory that the serving thread and its helper share. The system gives pages of it as they are used. */
import { createCrewMemory } from "../../keyring/record-crew.ts"
import { CHANNEL_BUFFER } from "../fuse/channel.ts"
import { PAYLOADS_BYTES } from "../store/record-sealing.ts"
import type { ServerCrew } from "./messages.ts"

export function createCrew(): ServerCrew {
  const [request, reply] = [new SharedArrayBuffer(CHANNEL_BUFFER), new SharedArrayBuffer(CHANNEL_BUFFER)]
  const payloads = new SharedArrayBuffer(PAYLOADS_BYTES)
  return { request, reply, payloads, memory: createCrewMemory([request, reply, payloads]) }
}
