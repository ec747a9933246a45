/** Mounts, prints what it has made, and dies without a word: the watchdog must clean up after it. */
import { mountClawfs } from "./mount.ts"

const mount = await mountClawfs()
const { supervisor, server } = await mount.status()
process.stdout.write(
  `${JSON.stringify({ mountpoint: mount.mountpoint, pids: [supervisor.pid, server.pid] })}\n`,
  () => process.kill(process.pid, "SIGKILL"),
)
