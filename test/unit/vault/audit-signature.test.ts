/** Signatures of the audit's end, and rows that go without breaking the chain. */
import { createPublicKey, verify } from "node:crypto"
import { expect, test } from "vitest"
import { isSigned, type SignatureDetail } from "../../../vault/audit-signature.ts"
import { bound } from "../../../vault/bound.ts"
import type { Vault } from "../../../vault/vault.ts"
import { skipIf } from "../../helpers/requirements.ts"
import { Swtpm, requireSwtpm } from "../../helpers/swtpm.ts"
import { SUBJECT, TestVault } from "../../helpers/vault.ts"

const signatures = (vault: Vault) => [...vault.audit.rows()].filter(({ event }) => event === "signature")

function put(vault: Vault, count: number): void {
  for (let at = 0; at < count; at += 1) vault.put(SUBJECT, `s-${at}`, Buffer.from("value"))
}

test("without a TPM it is an Ed25519 key of the chain's, the same through a new root key", () => {
  using place = new TestVault()
  const vault = place.open()
  put(vault, 3)
  vault.signAudit(SUBJECT)
  vault.signAudit(SUBJECT)
  expect(signatures(vault)).toHaveLength(1)
  vault.rotate(SUBJECT)
  vault.signAudit(SUBJECT)
  const found = vault.verifyAudit()
  expect(found.signatures).toEqual({ count: 2, keys: [expect.stringMatching(/^Ed25519 [0-9a-f]{16}$/)] })
  // Anybody can check it, with the public key alone.
  const [row] = signatures(vault)
  const detail = JSON.parse(row?.detail ?? "{}") as SignatureDetail
  const mac = Buffer.from(detail.mac, "hex")
  const key = createPublicKey({
    ...{ format: "der", type: "spki" },
    key: Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), Buffer.from(detail.key, "base64")]),
  })
  const message = bound("audit signature", vault.keys.uuid, detail.seq, mac)
  expect(verify(null, message, key, Buffer.from(detail.signature, "base64"))).toBe(true)
  const before = { seq: detail.seq, mac }
  expect(isSigned(vault.keys.uuid, detail, before)).toBe(true)
  for (const wrong of [
    { ...detail, seq: detail.seq + 1 },
    { ...detail, mac: "00".repeat(32) },
    { ...detail, signature: Buffer.alloc(64).toString("base64") },
    { ...detail, key: Buffer.alloc(32, 1).toString("base64") },
  ])
    expect(isSigned(vault.keys.uuid, wrong, before)).toBe(false)
})

test("with a TPM it is a key that never leaves it", async (context) => {
  skipIf(context, requireSwtpm())
  await using swtpm = await Swtpm.start()
  using place = new TestVault({ tcti: swtpm.tcti, pcrs: [7] })
  const vault = place.open({})
  for (const _ of [1, 2]) {
    put(vault, 2)
    vault.signAudit(SUBJECT)
    await swtpm.reboot()
  }
  const { signatures: found } = vault.verifyAudit()
  expect(found).toEqual({ count: 2, keys: [expect.stringMatching(/^ECDSA-P256, TPM [0-9a-f]{16}$/)] })
})

test("old rows go, the rest is one chain, and what is missing is told", () => {
  using place = new TestVault()
  const vault = place.open()
  put(vault, 5)
  const noted = vault.verifyAudit()
  put(vault, 3)
  expect(vault.pruneAudit(SUBJECT, 0)).toBe(0)
  const rows = [...vault.audit.rows()].length
  expect(vault.pruneAudit(SUBJECT, Date.now() + 1)).toBe(rows)
  const after = vault.verifyAudit()
  expect(after).toMatchObject({ rows: 1, seq: rows + 1, cut: rows })
  expect([...vault.audit.rows()].map(({ event }) => event)).toEqual(["audit-prune"])
  expect(() => vault.verifyAudit(noted)).toThrow(/was pruned/)
  put(vault, 2)
  expect(vault.verifyAudit({ seq: after.seq, mac: after.mac }).rows).toBe(3)
  // The cut itself is authenticated.
  const db = place.database()
  db.query("UPDATE audit_head SET cut = cut + 1").run()
  expect(() => vault.verifyAudit()).toThrow(expect.objectContaining({ kind: "corrupt" }))
})
