/** Where the vault is. */
import { homedir } from "node:os"
import { join, resolve } from "node:path"

const OF_ROOT = "/var/lib/clawfs-vault"

/** What is given, else CLAWFS_VAULT, else the one of the machine (root) or of the user. */
export function vaultDirectory(given: string | undefined): string {
  const named = given ?? process.env["CLAWFS_VAULT"]
  if (named !== undefined && named !== "") return resolve(named)
  return process.getuid?.() === 0 ? OF_ROOT : join(homedir(), ".local", "share", "clawfs-vault")
}
