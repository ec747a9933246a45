/**
 * Works with a vault, signs with keys in it, and then tells them and its root key, inverted, so that the key itself is nowhere in this process because of that.
 * Arguments: the vault's directory and a key file, or "tpm".
 */
import { writeSync } from "node:fs"
import { publicKeyOf, signWith } from "../../../clawfs/sys/signatures.ts"
import { MOST_PKCS8_BYTES, newPrivateKey, privateKeyIn } from "../../../vault/sign/private-key.ts"
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
const inverse = (bytes: Uint8Array): Buffer => Buffer.from(bytes.map((byte) => byte ^ 0xff))
const seeds = (["ed25519", "p256"] as const).map((curve) => {
  const room = Buffer.from(new ArrayBuffer(MOST_PKCS8_BYTES))
  vault.put(SUBJECT, curve, newPrivateKey(curve, room))
  room.fill(0)
  for (let i = 0; i < 100; i += 1)
    vault.use(SUBJECT, "sign", { name: curve }, (pkcs8) => {
      const { secret } = privateKeyIn(pkcs8, room)
      signWith(curve, secret, Buffer.from(`message ${i}`))
      publicKeyOf(curve, secret)
    })
  return vault.use(SUBJECT, "sign", { name: curve }, (pkcs8) => inverse(privateKeyIn(pkcs8, room).secret))
})
vault.rotate(SUBJECT)
vault.verifyAudit()
const inverted = vault.keys.held.use((root) => inverse(root))
const wrapped = vault.keys.with("wrap", (key) => inverse(key))
writeSync(1, `${[inverted, wrapped, ...seeds].map((each) => each.toString("hex")).join(" ")}\n`)
setInterval(() => undefined, 1000)
