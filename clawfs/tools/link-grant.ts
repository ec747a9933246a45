/** What `network:link` means: an interface of its own, by which a tool reaches TCP ports of the machine with real packets. */
import { Fault } from "../core/fault.ts"

/** PostgreSQL's: the one that the plan of ClawOS leaves open. */
export const DEFAULT_LINK_PORT = 5432
const MOST_PORT = 65_535

/** `place`: what follows `network:link`. Throws `Fault("invalid")`. */
export function parseLinkPort(text: string, place: string): number {
  if (place === "") return DEFAULT_LINK_PORT
  const port = /^[1-9]\d{0,4}$/.test(place) ? Number(place) : Infinity
  if (port <= MOST_PORT) return port
  throw new Fault("invalid", `"${text}": it must name one port`, {
    hint: `network:link:8080; network:link alone is port ${DEFAULT_LINK_PORT}`,
  })
}
