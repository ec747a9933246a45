/**
 * Arguments: "connect" and a socket's path, or "hide": forbids dumps. Waits to be killed. Or "key" and the name of one: tells in which
 * of its keyrings it finds it.
 */
import { writeSync } from "node:fs"
import { Ring, readKey } from "../../../clawfs/sys/keyctl.ts"
import { forbidDumps } from "../../../clawfs/sys/no-dumps.ts"
import { connectTo } from "../../../clawfs/sys/seqpacket.ts"

const [, , what, path = ""] = process.argv
if (what === "connect" && connectTo(path, 5) === undefined) throw new Error("nobody listens")
if (what === "hide") forbidDumps()
if (what === "key") {
  const rings = Object.entries(Ring).filter(([, ring]) => readKey(path, Buffer.alloc(32), ring))
  writeSync(1, `found in: ${rings.map(([name]) => name).join(" ")}\n`)
  process.exit()
}
writeSync(1, "ready\n")
setInterval(() => undefined, 1000)
