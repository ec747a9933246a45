/** Rotates the root key of a vault with a TPM and kills itself at a step. */
import { unlock } from "../../../vault/unlock.ts"
import { VaultDatabase } from "../../../vault/database.ts"
import { Vault } from "../../../vault/vault.ts"

const [, , directory = "", wanted = ""] = process.argv
const db = VaultDatabase.open(directory)
const vault = new Vault(db, unlock(db).keys, (step) => {
  if (step === wanted) process.kill(process.pid, "SIGKILL")
})
vault.rotate({ uid: 0, pid: process.pid })
