/** What leaves the vault in a bundle: a person's secrets, and nothing that clawfs keeps there for itself, nor decoys. */
import { closeSync, fstatSync, readSync } from "node:fs"
import { beforeEach, expect, test } from "vitest"
import { hasArgon2id } from "../../../clawfs/sys/libsodium.ts"
import { memfdCreate } from "../../../clawfs/sys/libc.ts"
import { openBundle } from "../../../vault/bundle.ts"
import { exportSecrets, type ExportedSecrets } from "../../../vault/service/bundle.ts"
import { skipIf } from "../../helpers/requirements.ts"
import { KEY } from "../../helpers/vault.ts"
import { OWNER, TestMethods, pipe } from "../../helpers/vault-methods.ts"

const PASSPHRASE = Buffer.from("the bundle's")
const TREE = `tree-${"0a".repeat(16)}`
beforeEach((context) => skipIf(context, hasArgon2id() ? undefined : "no libsodium"))

/** With one secret of each kind. */
function prepared(): TestMethods {
  const at = new TestMethods()
  at.put("api-key", "sk-value")
  at.put("decoy", "decoy-value", { canary: true })
  at.put("removed", "gone")
  at.call(OWNER, "rm", { name: "removed" })
  const [reading, writing] = pipe()
  at.callWith(OWNER, "tree.new", { name: TREE, description: "", fd: 0 }, [writing])
  closeSync(reading)
  closeSync(writing)
  const entries = `sha256:${"0".repeat(64)}`
  const proof = { kind: KEY.kind, fd: 0 }
  at.call(OWNER, "manifest.sign", { proof, kind: "specs", directory: "/x", entries }, [KEY.secret])
  return at
}

function exported(at: TestMethods, names?: readonly string[]): ExportedSecrets & { readonly values: object } {
  const out = memfdCreate("bundle", 1)
  try {
    const found = exportSecrets(at.vault, OWNER, { passphrase: PASSPHRASE, out, names })
    const bytes = Buffer.alloc(fstatSync(out).size)
    readSync(out, bytes, 0, bytes.length, 0)
    const values = new Map<string, string>()
    openBundle(bytes, PASSPHRASE, ({ name }, value) => void values.set(name, value.toString()))
    return { ...found, values: Object.fromEntries(values) }
  } finally {
    closeSync(out)
  }
}

test("all secrets: without the key of manifests, keys of trees, decoys and what was removed", () => {
  using at = prepared()
  const names = at.vault.list().map(({ metadata }) => metadata.name)
  expect(names).toEqual(["api-key", "clawfs.manifest-key", "decoy", "removed", TREE])
  expect(exported(at)).toEqual({ secrets: ["api-key"], expired: [], values: { "api-key": "sk-value" } })
})

test.each(["clawfs.manifest-key", TREE, "decoy", "removed"])("%s by its name: not either", (name) => {
  using at = prepared()
  expect(() => exported(at, ["api-key", name])).toThrow(`the vault has no secret "${name}"`)
})
