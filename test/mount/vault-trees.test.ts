/** Encrypted trees whose secrets the vault keeps: they follow it, and its keys' rotation changes nothing for them. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { VaultPlace } from "../cli/vault-place.ts"
import { waitUntil } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { plainDirectory, requireFuse, skipIf } from "../helpers/requirements.ts"

const noMount = plainDirectory === undefined ? undefined : "there is no store in a plain directory"

interface Keys {
  readonly trees: readonly {
    readonly locked: boolean
    readonly generation: number
    readonly slots: unknown[]
  }[]
}

async function treeOf({ clawfsAnyway, mountpoint }: BoundMount): Promise<Keys["trees"][number]> {
  const { stdout } = await clawfsAnyway(["keys", "--json", mountpoint])
  const [tree] = (JSON.parse(stdout) as Keys).trees
  if (tree === undefined) throw new Error("there is no encrypted tree")
  return tree
}

interface BoundMount {
  readonly clawfsAnyway: Mount["clawfsAnyway"]
  readonly mountpoint: string
}

describe("a tree that the vault opens", () => {
  test("is unlocked and locked with the vault, through rotation, re-keying, kills and a remount", async (context) => {
    skipIf(context, noMount, requireFuse())
    await using place = await VaultPlace.make()
    await place.unlock()
    const env = { ...process.env, CLAWFS_VAULT: place.directory }
    await using mount = await mountClawfs({ env })
    const clawfs = (args: readonly string[]) => mount.clawfsAnyway(args, { env })
    const bound = { clawfsAnyway: clawfs, mountpoint: mount.mountpoint }
    const until = (locked: boolean) => waitUntil(async () => (await treeOf(bound)).locked === locked, 10_000)
    const inUse = async () =>
      (await place.run(["list"])).stdout
        .split("\n")
        .filter((line) => line !== "" && !line.includes("removed"))
    const file = join(mount.work, "file")
    const read = async () => (await mount.exec("cat", [file])).stdout

    expect((await clawfs(["encrypt", "--vault", mount.work])).code).toBe(0)
    await mount.run("sh", ["-c", `echo inside > ${file}`])
    // Nobody sets what opens a tree.
    const [made = ""] = await inUse()
    expect(made).toMatch(/^tree-[0-9a-f]{32} /)
    const [name = ""] = made.split(" ")
    expect((await place.run(["put", name], { input: "mine" })).code).toBe(65)

    await place.run(["lock"])
    expect(await until(true)).toBe(true)
    expect(await read()).toBe("")
    expect((await clawfs(["unlock", "--vault", mount.work])).code).toBe(77)
    await place.unlock()
    expect(await until(false)).toBe(true)
    expect(await read()).toBe("inside\n")

    // A new root key wraps the tree's secret anew; a new tree key gets a new secret, and the old one goes out of use.
    expect((await place.run(["rotate", "--root"])).code).toBe(0)
    expect((await clawfs(["rekey", "--vault", mount.work])).code).toBe(0)
    const [next = ""] = await inUse()
    expect(next).toMatch(/^tree-[0-9a-f]{32} /)
    expect(next.startsWith(name)).toBe(false)
    expect((await treeOf(bound)).generation).toBe(2)
    expect((await clawfs(["lock", mount.work])).code).toBe(0)
    expect((await clawfs(["unlock", "--vault", mount.work])).code).toBe(0)
    expect(await read()).toBe("inside\n")

    await mount.killServer()
    await mount.status()
    expect(await read()).toBe("inside\n")
    // The vault's process is killed: that locks it, and its trees.
    process.kill(await place.pid(), "SIGKILL")
    expect(await until(true)).toBe(true)
    await mount.killServer()
    await mount.status()
    expect((await treeOf(bound)).locked).toBe(true)
    await place.unlock()
    expect(await until(false)).toBe(true)

    const key = join(place.base, "key")
    await mount.run("sh", ["-c", `umask 077; head -c 40 /dev/urandom > ${key}`])
    expect((await clawfs(["keys", "--add", "--vault", "--new-key-file", key, mount.work])).code).toBe(0)
    expect((await clawfs(["keys", "--remove", "1", mount.work])).code).toBe(0)
    expect(await inUse()).toEqual([])
    await mount.unmount()
    await mount.mountAgain()
    expect((await clawfs(["unlock", "--vault", mount.work])).code).toBe(77)
    expect((await clawfs(["unlock", "--key-file", key, mount.work])).code).toBe(0)
    expect(await read()).toBe("inside\n")
    const { stdout } = await place.run(["audit"])
    expect(stdout).toMatch(/ tree {2}done {2}tree-/)
    expect(readFileSync(join(mount.store, "clawfs.log"), "utf8")).not.toContain("inside")
  })
})
