/** A daemon and its supervisor that were killed at once, while programs changed an encrypted tree: nothing is lost. */
import { chmodSync, cpSync, readFileSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { sourceOf } from "../../keyring/key-file.ts"
import { copySecret, randomSecret } from "../../keyring/secret.ts"
import { SourceKind, type KeySource } from "../../keyring/slots.ts"
import { VaultLink } from "../../clawfs/api/vault-link.ts"
import { E } from "../../clawfs/core/errno.ts"
import { Opcode } from "../../clawfs/fuse/abi.ts"
import { newSource } from "../../clawfs/server/vault-slots.ts"
import { skipIf } from "../helpers/requirements.ts"
import { encrypt } from "../unit/support/encryption.ts"
import { words, z } from "../unit/support/requests.ts"
import { TestServer } from "../unit/support/server.ts"
import { ROOT, Session } from "../unit/support/session.ts"
import { Place, bin, clawfs, inPlace, requireMounts, said } from "./harness.ts"
import { VaultPlace } from "./vault-place.ts"

const O = Opcode

let place: Place
beforeAll(async () => {
  if (requireMounts() === undefined) place = await Place.make()
})
afterAll(async () => {
  if (requireMounts() === undefined) await place[Symbol.asyncDispose]()
})
beforeEach((context) => {
  skipIf(context, requireMounts())
})

interface Left {
  readonly path: string
  readonly store: string
  readonly mnt: string
  readonly keyFile: string
}

/**
 * A store that was left with a request about a plain directory, three about an encrypted one and a plain one in its journal.
 * What opens the tree is in a key file unless `sourceIn` makes it.
 */
function left(sourceIn?: (path: string) => KeySource): Left {
  const { path, store, mnt } = place.set()
  const source = sourceIn?.(path)
  using server = new TestServer()
  const session = new Session(server)
  const tree = session.mkdir("tree")
  const secret = randomSecret()
  const { id } = encrypt(
    server.store,
    tree,
    () => source ?? sourceOf(SourceKind.KEY_FILE, copySecret(secret)),
  )
  server.store.sealing.setKept(id, true)
  session.mkdir("before")
  const directory = session.entry(O.MKDIR, tree, [words(0o755, 0), z("directory")])
  const file = session.entry(O.MKNOD, directory, [words(0o100644, 0, 0, 0), z("file")])
  expect(session.write(file, 0, Buffer.from("contents"))).toBe(0)
  expect(session.status(O.RENAME, ROOT, [words(BigInt(ROOT)), z("before"), z("after")])).toBe(0)
  cpSync(server.directory, store, { recursive: true, force: true })
  const keyFile = join(path, "key")
  writeFileSync(keyFile, secret, { mode: 0o600 })
  return { path, store, mnt, keyFile }
}

test("what was answered waits for its key, and is there once mount has it", async () => {
  const { path, store, mnt, keyFile } = left()
  const refused = await clawfs(["mount", store, mnt])
  expect(said(refused, { path, store, mnt })).toBe(
    "exit 77\nclawfs: answered requests wait in the journal for the key of their encrypted tree, as its daemon and supervisor were killed\n" +
      "hint: clawfs mount with --key-file, --passphrase-file, --passphrase-fd or --vault opens the tree first",
  )
  const other = join(path, "other")
  writeFileSync(other, randomSecret(), { mode: 0o600 })
  expect(said(await clawfs(["mount", "--key-file", other, store, mnt]), { path, store, mnt })).toBe(
    "exit 77\nclawfs: this opens no encrypted tree of the store\n" +
      "hint: clawfs keys MOUNTPOINT shows what opens them",
  )
  expect((await clawfs(["mount", "--key-file", keyFile, store, mnt])).code).toBe(0)
  expect(readdirSync(mnt).sort()).toEqual(["after", "tree"])
  expect(readFileSync(join(mnt, "tree", "directory", "file"), "latin1")).toBe("contents")
  expect((await clawfs(["unmount", mnt])).code).toBe(0)
  expect((await clawfs(["mount", store, mnt])).code).toBe(0)
  expect(() => readdirSync(join(mnt, "tree"))).toThrow(expect.objectContaining({ errno: -E.ENOKEY }))
  expect((await clawfs(["unmount", mnt])).code).toBe(0)
})

async function checkMounted({ path, store, mnt }: Left, ...options: readonly string[]): Promise<void> {
  expect(said(await clawfs(["mount", ...options, store, mnt]), { path, store, mnt })).toMatch(/^exit 0/)
  expect(readFileSync(join(mnt, "tree", "directory", "file"), "latin1")).toBe("contents")
  expect((await clawfs(["unmount", mnt])).code).toBe(0)
}

test("a passphrase from a file or a descriptor is as good; a wrong one, or one that others can read, opens nothing", async () => {
  const words = Buffer.from("a passphrase of several words")
  const make = (): Left => left(() => sourceOf(SourceKind.PASSPHRASE, copySecret(words), "pbkdf2"))
  const one = make()
  const [file, wrong] = [join(one.path, "passphrase"), join(one.path, "wrong")]
  writeFileSync(file, `${words.toString()}\n`, { mode: 0o600 })
  writeFileSync(wrong, "another\n", { mode: 0o600 })
  const refused = await clawfs(["mount", "--passphrase-file", wrong, one.store, one.mnt])
  expect([refused.code, refused.stderr]).toEqual([
    77,
    expect.stringContaining("this opens no encrypted tree of the store"),
  ])
  chmodSync(file, 0o644)
  expect((await clawfs(["mount", "--passphrase-file", file, one.store, one.mnt])).code).toBe(77)
  chmodSync(file, 0o600)
  const both = await clawfs(["mount", "--passphrase-file", file, "--vault", one.store, one.mnt])
  expect(both.code).toBe(64)
  await checkMounted(one, "--passphrase-file", file)
  const two = make()
  const command = [process.execPath, bin, "mount", "--passphrase-fd", "0", two.store, two.mnt]
  const opened = await inPlace("sh", ["-c", `exec "$0" "$@" <${file}`, ...command])
  expect(opened.code).toBe(0)
  expect(readFileSync(join(two.mnt, "tree", "directory", "file"), "latin1")).toBe("contents")
  expect((await clawfs(["unmount", two.mnt])).code).toBe(0)
})

test("the vault opens it when it is unlocked, and has what opens it", async () => {
  await using vault = await VaultPlace.make()
  await vault.unlock()
  const made = left(() => {
    using link = VaultLink.connect(vault.directory, 60)
    if (link === undefined) throw new Error("the vault does not answer")
    return newSource(link, "of a test")
  })
  const env = { CLAWFS_VAULT: vault.directory }
  const mount = () => clawfs(["mount", "--vault", made.store, made.mnt], { env })
  await vault.run(["lock"])
  const locked = await mount()
  expect([locked.code, locked.stderr]).toEqual([77, expect.stringContaining("the vault is locked")])
  await vault.unlock()
  await using other = await VaultPlace.make()
  await other.unlock()
  const wrong = await clawfs(["mount", "--vault", made.store, made.mnt], {
    env: { CLAWFS_VAULT: other.directory },
  })
  expect([wrong.code, wrong.stderr]).toEqual([
    77,
    expect.stringContaining("this opens no encrypted tree of the store"),
  ])
  expect((await mount()).code).toBe(0)
  expect(readFileSync(join(made.mnt, "tree", "directory", "file"), "latin1")).toBe("contents")
  expect((await clawfs(["unmount", made.mnt])).code).toBe(0)
})

test("where the key is lost, fsck gives up what waits for it when it is told to", async () => {
  const { path, store, mnt } = left()
  const checked = await clawfs(["fsck", store])
  expect(checked.stderr).toContain("executes them once it has the key of their encrypted tree")
  const refused = await clawfs(["fsck", "--repair", store])
  expect([refused.code, refused.stderr]).toEqual([75, expect.stringContaining("--drop-sealed gives them up")])
  expect(said(await clawfs(["fsck", "--drop-sealed", store]), { path, store, mnt })).toMatch(/^exit 64\n/)
  const repaired = await clawfs(["fsck", "--repair", "--drop-sealed", store])
  // What came before them is executed with the next mount.
  expect([repaired.code, repaired.stderr]).toEqual([75, expect.stringContaining("1 answered requests wait")])
  expect(readdirSync(store)).toContain("journal.fsck-1")
  expect((await clawfs(["mount", store, mnt])).code).toBe(0)
  expect(readdirSync(mnt).sort()).toEqual(["before", "tree"])
  expect((await clawfs(["unmount", mnt])).code).toBe(0)
  expect((await clawfs(["fsck", store])).code).toBe(0)
})
