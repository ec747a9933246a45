/** An embedding endpoint in place of the built-in embedder: on a real mount, with a key from the vault. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import type { IndexStatus } from "../../schema/search-api.ts"
import { embeddingEndpoint } from "../helpers/embedding-endpoint.ts"
import { VaultPlace } from "../cli/vault-place.ts"
import { sleep, type Finished } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { plainDirectory, requireFuse, skipIf } from "../helpers/requirements.ts"
import { own, search, settled, write } from "../helpers/searching.ts"

const noMount = plainDirectory === undefined ? undefined : "there is no store in a plain directory"

/** When the endpoint's vectors answer. */
async function switched(mount: Mount): Promise<IndexStatus> {
  for (let tries = 0; tries < 100; tries += 1) {
    const now = await settled(mount)
    if (now.embedders[0]?.id.startsWith("openai:") === true) return now
    await sleep(200)
  }
  throw new Error(`the endpoint does not take over\n${mount.log()}`)
}

test("another embedder's vectors are made beside the old ones, and a dead endpoint is said", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ index: true })
  for (const name of ["apples", "rivers", "engines"])
    await write(mount, `${name}.md`, `A note about ${name}.\n`)
  expect((await settled(mount)).embedders[0]?.id).toMatch(/^builtin:/)
  await using endpoint = await embeddingEndpoint()
  const embedder = { provider: "http", api: "openai", url: endpoint.url, model: "tiny", dimensions: 128 }
  const file = join(mount.scratch, "config.json")
  const configure = (config: unknown): Promise<Finished> => {
    writeFileSync(file, JSON.stringify(config))
    return mount.clawfsAnyway(["index", "config", "--from", file, mount.mountpoint])
  }
  const wrong = await configure({ embedder: { ...embedder, dimensions: 7 } })
  expect(wrong.stderr).toContain("embedder.dimensions")
  expect(wrong.code).toBe(65)
  expect(JSON.parse((await configure({ embedder })).stdout)).toMatchObject({ embedder })
  const { stdout } = await mount.clawfs(["index", "config", mount.mountpoint])
  expect(JSON.parse(stdout)).toMatchObject({ embedder })
  const now = await switched(mount)
  expect(now.embedders.map(({ dimensions, isCurrent }) => [dimensions, isCurrent])).toEqual([[128, true]])
  expect((await search(mount, "rivers", "-m", "meaning")).results[0]?.path).toBe(own(mount, "rivers.md"))
  await endpoint.close()
  const lame = await search(mount, "rivers")
  expect(lame.results[0]?.path).toBe(own(mount, "rivers.md"))
  expect(lame.degraded.join()).toMatch(/could not be embedded.*found by words alone/)
})

test("an endpoint's key comes from the vault, as long as a grant allows it", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using place = await VaultPlace.make()
  await place.unlock()
  await place.run(["put", "embedding-key", ...place.passphrase], { input: "sk-of-the-vault\n" })
  const granted = await place.run(["grant", "embedding-key", "--verb", "reveal", ...place.passphrase])
  expect(granted.code, granted.stderr).toBe(0)
  const env = { ...process.env, CLAWFS_VAULT: place.directory }
  await using mount = await mountClawfs({ index: true, env })
  await write(mount, "rivers.md", "A note about rivers.\n")
  await using endpoint = await embeddingEndpoint({ key: "sk-of-the-vault" })
  const embedder = {
    ...{ provider: "http", api: "openai", url: endpoint.url, model: "tiny", dimensions: 128 },
    keySecret: "embedding-key",
  }
  const file = join(mount.scratch, "config.json")
  writeFileSync(file, JSON.stringify({ embedder: { ...embedder, keyFile: "/key" } }))
  const both = await mount.clawfsAnyway(["index", "config", "--from", file, mount.mountpoint])
  expect([both.code, both.stderr]).toEqual([65, expect.stringContaining("not from both")])
  writeFileSync(file, JSON.stringify({ embedder }))
  await mount.clawfs(["index", "config", "--from", file, mount.mountpoint])
  await switched(mount)
  const { results, degraded } = await search(mount, "rivers", "-m", "meaning")
  expect([results[0]?.path, degraded]).toEqual([own(mount, "rivers.md"), []])
  const { stdout } = await place.run(["audit", "--secret", "embedding-key", "--json"])
  expect(stdout).toContain('"get"')
  await place.run(["lock"])
  const lame = await search(mount, "rivers")
  expect(lame.results[0]?.path).toBe(own(mount, "rivers.md"))
  expect(lame.degraded.join()).toMatch(/the vault is locked/)
})
