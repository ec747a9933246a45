/** Arguments: "connect" and a socket's path, or "hide": forbids dumps. Waits to be killed. */
import { writeSync } from "node:fs"
import { forbidDumps } from "../../../clawfs/sys/no-dumps.ts"
import { connectTo } from "../../../clawfs/sys/seqpacket.ts"

const [, , what, path = ""] = process.argv
if (what === "connect" && connectTo(path, 5) === undefined) throw new Error("nobody listens")
if (what === "hide") forbidDumps()
writeSync(1, "ready\n")
setInterval(() => undefined, 1000)
