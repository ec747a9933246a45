/** A daemon and its supervisor that were killed at once, while programs changed an encrypted tree: nothing is lost. */
import { cpSync, readFileSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { sourceOf } from "../../keyring/key-file.ts"
import { copySecret, randomSecret } from "../../keyring/secret.ts"
import { SourceKind } from "../../keyring/slots.ts"
import { E } from "../../clawfs/core/errno.ts"
import { Opcode } from "../../clawfs/fuse/abi.ts"
import { skipIf } from "../helpers/requirements.ts"
import { encrypt } from "../unit/support/encryption.ts"
import { words, z } from "../unit/support/requests.ts"
import { TestServer } from "../unit/support/server.ts"
import { ROOT, Session } from "../unit/support/session.ts"
import { Place, clawfs, requireMounts, said } from "./harness.ts"

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

/** A store that was left with a request about a plain directory, three about an encrypted one and a plain one in its journal. */
function left(): Left {
  const { path, store, mnt } = place.set()
  using server = new TestServer()
  const session = new Session(server)
  const tree = session.mkdir("tree")
  const secret = randomSecret()
  const { id } = encrypt(server.store, tree, () => sourceOf(SourceKind.KEY_FILE, copySecret(secret)))
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
