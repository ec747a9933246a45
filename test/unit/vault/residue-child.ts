/**
 * Works with a vault and then tells its root key, inverted, so that the key itself is nowhere in this process because of that.
 * Arguments: the vault's directory and a key file, or "tpm".
 */
import { writeSync } from "node:fs"
import { forbidDumps } from "../../../clawfs/sys/no-dumps.ts"
import { readKeyFile } from "../../../keyring/key-file.ts"
import { ProtectorKind } from "../../../keyring/protector.ts"
import { VaultDatabase } from "../../../vault/database.ts"
import { unlock } from "../../../vault/unlock.ts"
import { Vault } from "../../../vault/vault.ts"

const [, , directory = "", how = ""] = process.argv
const SUBJECT = { uid: 0, pid: process.pid }
forbidDumps()
const db = VaultDatabase.open(directory)
const source = how === "tpm" ? undefined : readKeyFile(how)
const person = source === undefined ? undefined : { kind: ProtectorKind.KEY_FILE, secret: source.secret }
const vault = new Vault(db, unlock(db, { person }).keys)
source?.[Symbol.dispose]()
const value = Buffer.from(new ArrayBuffer(24))
for (let i = 0; i < 300; i += 1) {
  value.fill(0x41 + (i % 26))
  vault.put(SUBJECT, `s-${i % 10}`, value)
  vault.use(SUBJECT, "get", { name: `s-${i % 10}` }, () => undefined)
}
value.fill(0)
vault.rotate(SUBJECT)
vault.verifyAudit()
const inverted = vault.keys.held.use((root) => Buffer.from(root.map((byte) => byte ^ 0xff)))
const wrapped = vault.keys.with("wrap", (key) => Buffer.from(key.map((byte) => byte ^ 0xff)))
writeSync(1, `${inverted.toString("hex")} ${wrapped.toString("hex")}\n`)
setInterval(() => undefined, 1000)
