/** Every list of system calls that ClawFS has, by its name. */
import type { SeccompList } from "../../schema/seccomp.ts"
import { daemonList } from "./daemon-list.ts"
import { extractorList } from "./extractor-list.ts"
import { launcherList } from "./launcher-list.ts"
import { toolList } from "./tool-list.ts"

export const LISTS: ReadonlyMap<string, () => SeccompList> = new Map([
  ["tool", () => toolList(false)],
  ["tool-spawn", () => toolList(true)],
  ["launcher", launcherList],
  ["daemon", daemonList],
  ["extractor", extractorList],
])
