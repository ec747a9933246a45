/**
 * Does operations with a vault that its TPM opens, and kills itself at a step. Arguments: the vault's directory, a seed, how many
 * operations, at which step of all. Says which operation begins and is done, and which step it was.
 */
import { writeSync } from "node:fs"
import { unlock } from "../../../vault/unlock.ts"
import { VaultDatabase } from "../../../vault/database.ts"
import { Vault } from "../../../vault/vault.ts"
import { operationsOf, perform } from "./kill-operations.ts"

const [, , directory = "", seed = "", count = "", last = ""] = process.argv
const db = VaultDatabase.open(directory)
let steps = 0
const vault = new Vault(db, unlock(db).keys, (step) => {
  steps += 1
  if (steps !== Number(last)) return
  writeSync(1, `killed ${step}\n`)
  process.kill(process.pid, "SIGKILL")
})
for (const operation of operationsOf(Number(seed), Number(count))) {
  writeSync(1, "begin\n")
  perform(db, vault, operation)
  writeSync(1, "done\n")
}
