/** Events of tools, as a user gets them. */
import type { Control, ControlName, SandboxStatus } from "../../schema/sandbox.ts"
import type { ToolEvent } from "../../schema/tool-event.ts"
import type { Mount } from "../helpers/mount.ts"
import { lastRecord } from "./tools.ts"

/** `clawfs events --json`, with more options. */
export async function eventsOf(mount: Mount, ...options: string[]): Promise<ToolEvent[]> {
  const { stdout } = await mount.clawfs(["events", "--json", ...options, mount.mountpoint])
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as ToolEvent)
}

/** Of the run that ended last. */
export async function lastEvents(mount: Mount, ...options: string[]): Promise<ToolEvent[]> {
  return await eventsOf(mount, "--run", (await lastRecord(mount)).run_id, ...options)
}

/** What watches tools here. */
export function ebpfControl(mount: Mount): Promise<Control> {
  return controlOf(mount, "ebpf")
}

/** One control of `clawfs sandbox status`. */
export async function controlOf(mount: Mount, control: ControlName): Promise<Control> {
  const { stdout } = await mount.clawfsAnyway(["sandbox", "status", "--json", mount.mountpoint])
  const found = (JSON.parse(stdout) as SandboxStatus).controls.find(({ name }) => name === control)
  if (found === undefined) throw new Error(`there is no control ${control}`)
  return found
}
