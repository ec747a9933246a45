/** The programs that a sandbox is made with. Imports nothing native: the doctor asks too. */
import { accessSync, constants } from "node:fs"
import { fileURLToPath } from "node:url"

const APPARMOR_PARSER = ["/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"]
const BWRAP = ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"]

/** Handed out as files of `tools/bin`; what starts and ends sandboxes; the first in each. Built by `scripts/build-native.sh`. */
export const LAUNCHER = fileURLToPath(new URL("./launcher", import.meta.url))
export const KEEPER = fileURLToPath(new URL("./keeper", import.meta.url))
export const STARTER = fileURLToPath(new URL("./starter", import.meta.url))

/** The path of bubblewrap; undefined when it is not installed. No `PATH` is asked: root runs it. */
export function findBwrap(): string | undefined {
  return BWRAP.find(isExecutable)
}

/** Loads AppArmor's profiles; undefined when it is not installed. */
export function findApparmorParser(): string | undefined {
  return APPARMOR_PARSER.find(isExecutable)
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
