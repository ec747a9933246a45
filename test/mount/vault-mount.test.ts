/** The vault as a filesystem: what it shows, who reads a value, what is written, and that it goes with the vault. */
import { execFile } from "node:child_process"
import { mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { describe, expect, test, type TestContext } from "vitest"
import { callVault } from "../../clawfs/cli/vault/client.ts"
import { VaultPlace, asNobody } from "../cli/vault-place.ts"
import { exec, waitUntil, type Finished } from "../helpers/exec.ts"
import { scanMemory } from "../helpers/residue.ts"
import { plainDirectory, requireFuse, requirePrograms, skipIf } from "../helpers/requirements.ts"

const noMount = plainDirectory === undefined ? undefined : "there is no store in a plain directory"
const VALUE = "sk-mounted-0123456789"
const isRoot = process.getuid?.() === 0

class MountedPlace extends VaultPlace {
  readonly mountpoint = join(this.base, "mounted")

  static async start(context: TestContext): Promise<MountedPlace> {
    skipIf(context, noMount, requireFuse() ?? requirePrograms("head", "sha256sum"))
    const place = new MountedPlace()
    mkdirSync(place.mountpoint)
    const made = await place.run(["init", ...place.passphrase, "--kdf", "pbkdf2", "--no-tpm"])
    if (made.code !== 0) throw new Error(made.stderr)
    const unlocked = await place.run(["unlock", ...place.passphrase, "--mount", place.mountpoint])
    if (unlocked.code !== 0) throw new Error(unlocked.stderr)
    const put = await place.run(["put", "a-key"], { input: VALUE })
    if (put.code !== 0) throw new Error(put.stderr)
    return place
  }

  path(...names: string[]): string {
    return join(this.mountpoint, ...names)
  }

  /** A program on the mount; its errors in English. */
  on(program: string, ...args: string[]): Promise<Finished> {
    return exec(program, args, { timeoutSeconds: 20, env: { ...process.env, LC_ALL: "C" } })
  }

  isMounted(): boolean {
    return readFileSync("/proc/self/mountinfo", "utf8").includes(` ${this.mountpoint} `)
  }

  async allow(...limits: string[]): Promise<void> {
    const { code, stderr } = await this.run([
      "grant",
      "a-key",
      "--verb",
      "reveal",
      ...limits,
      ...this.passphrase,
    ])
    if (code !== 0) throw new Error(stderr)
  }

  async audit(): Promise<string> {
    return (await this.run(["audit"])).stdout
  }
}

describe("the vault's mount", () => {
  test("shows ciphertext and documents, to the owner alone", async (context) => {
    await using place = await MountedPlace.start(context)
    const { stdout } = await place.on("find", place.mountpoint, "-printf", "%P %m %y\\n")
    expect(stdout.split("\n").filter(Boolean).sort()).toEqual([
      " 700 d",
      "identity-backups 700 d",
      "master-key.enc 400 f",
      "metadata.json 400 f",
      "secrets 700 d",
      "secrets/a-key 600 f",
      "secrets/a-key.enc 400 f",
    ])
    const sealed = JSON.parse((await place.on("cat", place.path("secrets", "a-key.enc"))).stdout) as object
    expect(Object.keys(sealed)).toEqual([
      ...[
        "format",
        "secret_id",
        "encrypted_value",
        "iv",
        "auth_tag",
        "algorithm",
        "key_id",
        "key_generation",
      ],
      ...["kdf", "wrapped_key", "record_id", "created_at", "updated_at", "version"],
    ])
    expect(sealed).toMatchObject({
      secret_id: "a-key",
      algorithm: "AES-256-GCM",
      version: 1,
      key_generation: 1,
    })
    expect(Buffer.from((sealed as { iv: string }).iv, "base64")).toHaveLength(12)
    const value = (sealed as { encrypted_value: string }).encrypted_value
    expect(Buffer.from(value, "base64")).toHaveLength(VALUE.length)
    const metadata = JSON.parse((await place.on("cat", place.path("metadata.json"))).stdout) as object
    expect(metadata).toMatchObject({ total_secrets: 1, tpm_sealed: false, kdf_iterations: 600_000 })
    const master = JSON.parse((await place.on("cat", place.path("master-key.enc"))).stdout) as object
    expect(master).toMatchObject({ protectors: [{ kind: "passphrase" }, { kind: "recovery" }] })
    expect((await place.on("stat", "-c", "%s", place.path("secrets", "a-key"))).stdout).toBe(
      `${VALUE.length}\n`,
    )
    expect((await place.on("ls", place.path("secrets", "none"))).stderr).toContain("No such file")
    for (const [program, ...args] of [
      ["rm", "-f", place.path("secrets", "a-key")],
      ["mkdir", place.path("secrets", "x")],
      ["mv", place.path("secrets", "a-key"), place.path("secrets", "b-key")],
      ["chmod", "644", place.path("secrets", "a-key")],
      ["ln", place.path("secrets", "a-key"), place.path("secrets", "b-key")],
    ] as [string, ...string[]][])
      expect((await place.on(program, ...args)).stderr).toContain("not permitted")
    if (!isRoot) return
    const words = ["--reuid=65534", "--regid=65534", "--clear-groups", "ls", place.mountpoint]
    expect((await place.on("setpriv", ...words)).stderr).toContain("Permission denied")
    expect((await place.run(["unmount"], asNobody)).code).toBe(77)
  })

  test("gives a value to a program that a grant names, once, and writes every attempt down", async (context) => {
    await using place = await MountedPlace.start(context)
    const file = place.path("secrets", "a-key")
    expect((await place.on("cat", file)).stderr).toContain("Permission denied")
    expect(await place.audit()).toMatch(/ read {2}denied {2}a-key .*cat/)
    await place.allow("--caller", "/usr/bin/head", "--uses", "2")
    expect((await place.on("cat", file)).stderr).toContain("Permission denied")
    expect((await place.on("head", "-c", "99", file)).stdout).toBe(VALUE)
    // Nothing of it is in a cache that another could read.
    expect((await place.on("cat", file)).stderr).toContain("Permission denied")
    const { stdout } = await place.on("head", "-c", "5", file)
    expect(stdout).toBe(VALUE.slice(0, 5))
    expect((await place.on("head", "-c", "99", file)).stderr).toContain("Permission denied")
    expect((await place.audit()).match(/ read {2}done /g)).toHaveLength(2)
    // A thread is not taken for another process: python opens it from one.
    await place.allow()
    const program = `
import threading
found = []
t = threading.Thread(target=lambda: found.append(open(${JSON.stringify(file)}).read()))
t.start(); t.join()
print(found[0])`
    expect((await place.on("python3", "-c", program)).stdout).toBe(`${VALUE}\n`)
    expect((await place.on("cat", file)).stdout).toBe(VALUE)
  })

  test("stores what is written as a new version when it is closed", async (context) => {
    await using place = await MountedPlace.start(context)
    await place.allow()
    const file = place.path("secrets", "a-key")
    const sh = (text: string) => place.on("sh", "-c", text)
    expect((await sh(`printf second > ${file}`)).code).toBe(0)
    expect((await place.on("cat", file)).stdout).toBe("second")
    expect((await place.run(["history", "a-key"])).stdout).toContain("2")
    expect((await place.run(["get", "a-key", "--version", "1", ...place.passphrase])).stdout).toBe(VALUE)
    expect((await sh(`printf new > ${place.path("secrets", "b-key")}`)).code).toBe(0)
    expect((await place.run(["get", "b-key", ...place.passphrase])).stdout).toBe("new")
    expect((await sh(`: > ${file}`)).code).toBe(0)
    expect((await place.on("cat", file)).stdout).toBe("second")
    expect((await sh(`printf more >> ${file}`)).stderr).toContain("not supported")
    expect((await sh(`printf x > ${place.path("secrets", "Bad_Name")}`)).stderr).toContain("Invalid argument")
    expect((await sh(`printf x > ${place.path("metadata.json")}`)).stderr).toContain("Permission denied")
    expect((await sh(`head -c 65536 /dev/zero > ${file}`)).code).toBe(0)
    expect((await place.on("stat", "-c", "%s", file)).stdout).toBe("65536\n")
    expect((await sh(`head -c 65537 /dev/zero > ${file}`)).stderr).toContain("File too large")
    expect(await place.audit()).toMatch(/ put {2}done {2}b-key v1 .*sh/)
    if (!isRoot) return
    // What was written and read went through the process, and is not in it any more.
    const written = "sk-written-through-the-mount-7531"
    expect((await sh(`printf ${written} > ${file}`)).code).toBe(0)
    expect((await place.on("cat", file)).stdout).toBe(written)
    const { places, bytes } = scanMemory(await place.pid(), Buffer.from(written))
    expect(places).toEqual([])
    expect(bytes).toBeGreaterThan(10_000_000)
  })

  test("goes when the vault is locked, when its process is killed, and when it is stuck", async (context) => {
    await using place = await MountedPlace.start(context)
    expect(place.isMounted()).toBe(true)
    expect((await place.run(["status"])).stdout).toContain(`mounted on  ${place.mountpoint}`)
    expect((await place.run(["mount", place.mountpoint])).code).toBe(73)
    expect((await place.run(["unmount"])).code).toBe(0)
    expect(place.isMounted()).toBe(false)
    expect((await place.run(["mount", place.mountpoint])).code).toBe(0)
    expect((await place.run(["lock"])).code).toBe(0)
    expect(place.isMounted()).toBe(false)
    expect((await place.run(["mount", place.mountpoint])).code).toBe(77)

    await place.run(["unlock", ...place.passphrase, "--mount", place.mountpoint])
    process.kill(await place.pid(), "SIGKILL")
    expect(await waitUntil(() => !place.isMounted(), 10_000)).toBe(true)

    await place.unlock()
    expect((await place.run(["mount", join(place.base, "none")])).code).toBe(66)
    callVault(place.directory, "mount", { directory: place.mountpoint, patience: 1 })
    const pid = await place.pid()
    process.kill(pid, "SIGSTOP")
    try {
      // Who waits for a vault that is stuck gets an error.
      const { code } = await promisify(execFile)("ls", [place.mountpoint]).then(
        () => ({ code: 0 }),
        () => ({ code: 1 }),
      )
      expect(code).toBe(1)
      expect(await waitUntil(() => !place.isMounted(), 10_000)).toBe(true)
    } finally {
      process.kill(pid, "SIGCONT")
    }
    expect(
      await waitUntil(async () => !(await place.run(["status"])).stdout.includes("mounted"), 10_000),
    ).toBe(true)
    expect((await place.run(["mount", place.mountpoint])).code).toBe(0)
    expect((await place.on("ls", place.path("secrets"))).stdout).toBe("a-key\na-key.enc\n")
  })
})
