/** `clawfs vault sign` and `verify`: changes of any kind are told, and only the vault's own signature counts. */
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { beforeEach, expect, test } from "vitest"
import { changesSince, readManifest, requireAsSigned } from "../../clawfs/manifest/signed-manifest.ts"
import { skipIf } from "../helpers/requirements.ts"
import { requireBuild } from "./harness.ts"
import { VaultPlace, asNobody } from "./vault-place.ts"

beforeEach((context) => skipIf(context, requireBuild()))

test("a tree of specs is signed, and every change of it is told and refused", async () => {
  await using place = await VaultPlace.make()
  await place.unlock()
  const specs = join(place.base, "specs")
  mkdirSync(join(specs, "p1"), { recursive: true })
  for (const name of ["P1.1-a.md", "P1.2-b.md"]) writeFileSync(join(specs, "p1", name), `# ${name}\n`)
  symlinkSync("P1.1-a.md", join(specs, "p1", "latest"))
  const signing = (kind: string, ...more: string[]) => place.run(["sign", kind, specs, ...more])
  const verify = (...more: string[]) => place.run(["verify", "specs", specs, ...more])
  expect((await verify()).code).toBe(66)
  expect((await signing("specs", ...place.wrong)).code).toBe(77)
  expect((await signing("none", ...place.passphrase)).code).toBe(64)
  const signed = await signing("specs", ...place.passphrase)
  expect([signed.code, signed.stderr]).toEqual([0, expect.stringContaining("3 entries of")])
  expect((await verify()).code).toBe(0)
  const as = () => requireAsSigned(place.directory, "specs", specs)
  expect(as).not.toThrow()
  const manifest = JSON.parse(readFileSync(join(specs, "signatures.json"), "utf8")) as { signed_by: string }
  expect(manifest).toMatchObject({ kind: "specs", status: "FROZEN", algorithm: "Ed25519" })
  expect((await verify("--key", manifest.signed_by)).code).toBe(0)
  expect((await verify("--key", "0".repeat(16))).code).toBe(77)
  // It needs no unlocked vault, and nobody's rights but those to read.
  await place.run(["lock"])
  chmodSync(specs, 0o755)
  if (process.getuid?.() === 0) expect((await place.run(["verify", "specs", specs], asNobody)).code).toBe(0)

  const file = join(specs, "p1", "P1.1-a.md")
  const own = join(place.directory, "signed", "spec-signatures.json")
  const told = (lines: string): void => {
    expect(changesSince(readManifest(own), specs).join("\n")).toBe(lines)
    expect(as).toThrow(expect.objectContaining({ kind: "denied" }))
  }
  writeFileSync(file, "# P1.1-a.Md\n")
  told("changed  p1/P1.1-a.md")
  expect(await verify()).toMatchObject({ code: 1, stdout: "changed  p1/P1.1-a.md\n" })
  writeFileSync(file, "# P1.1-a.md\n")
  renameSync(file, `${file}x`)
  told("missing  p1/P1.1-a.md\nadded    p1/P1.1-a.mdx")
  renameSync(`${file}x`, file)
  rmSync(join(specs, "p1", "latest"))
  symlinkSync("P1.2-b.md", join(specs, "p1", "latest"))
  told("changed  p1/latest")
  rmSync(join(specs, "p1", "latest"))
  symlinkSync("P1.1-a.md", join(specs, "p1", "latest"))
  expect((await verify()).code).toBe(0)

  // Who edits the manifest too does not have the key.
  const text = readFileSync(own, "utf8")
  for (const [from, to] of [
    ["FROZEN", "THAWED"],
    ['"bytes": 12', '"bytes": 13'],
    ["p1/P1.1-a.md", "p1/P1.1-b.md"],
  ] as const) {
    expect(text).toContain(from)
    writeFileSync(own, text.replace(from, to))
    expect(as).toThrow(expect.objectContaining({ kind: "corrupt" }))
  }
  expect((await verify()).code).toBe(65)
  // Another directory is nobody's business.
  expect(() => requireAsSigned(place.directory, "specs", place.base)).not.toThrow()
  await place.unlock()
  expect((await place.run(["put", "clawfs.manifest-key"], { input: "x".repeat(32) })).code).toBe(65)
  expect((await place.run(["audit"])).stdout).toContain("sign-manifest  done  clawfs.manifest-key")
})
