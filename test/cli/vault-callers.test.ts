/** `clawfs vault`: other users, and clients that mean no good. */
import { spawn, spawnSync } from "node:child_process"
import { readFileSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { beforeEach, describe, expect, test } from "vitest"
import { connectTo, peerOf, receiveMessage, sendMessage } from "../../clawfs/sys/seqpacket.ts"
import { requirePrograms, skipIf } from "../helpers/requirements.ts"
import { noteAttempt } from "../../vault/attempts.ts"
import { VaultDatabase } from "../../vault/database.ts"
import { requireBuild, said } from "./harness.ts"
import { VaultPlace, asNobody } from "./vault-place.ts"

const requireRoot = (): string | undefined => (process.getuid?.() === 0 ? undefined : "not root")
const VALUE = "sk-test-4f3e2d1c0b9a8877"
beforeEach((context) => skipIf(context, requireBuild()))

describe("grants", () => {
  test("are counted, end, are taken back, and are for who they name", async (context) => {
    skipIf(context, requireRoot(), requirePrograms("setpriv"))
    await using place = await VaultPlace.make()
    await place.unlock()
    await place.run(["put", "a"], { input: VALUE })
    await place.run(["put", "b"], { input: "other" })
    const get = (name = "a"): ReturnType<VaultPlace["run"]> => place.run(["get", name], asNobody)
    const grant = (...more: string[]): ReturnType<VaultPlace["run"]> =>
      place.run(["grant", "a", "--verb", "reveal", ...more, ...place.passphrase])
    const refused = said(await get())
    expect(refused).toMatch(/^exit 77\nclawfs: no grant allows this/)
    // Who may not list the secrets can't tell which there are.
    expect(said(await get("nothing"))).toBe(refused)
    for (const args of [
      ["list"],
      ["put", "c"],
      ["audit"],
      ["rm", "a"],
      ["rotate", "--root"],
      ["lock"],
      ["grants"],
    ])
      expect((await place.run(args, { ...asNobody, input: "x" })).code, args.join(" ")).toBe(77)
    expect((await place.run(["grant", "a", "--verb", "reveal", ...place.wrong])).code).toBe(77)
    await grant("--uid", "65534", "--uses", "2")
    expect([(await get()).stdout, (await get()).stdout, (await get()).code]).toEqual([VALUE, VALUE, 77])
    expect((await get("b")).code).toBe(77)
    await grant("--uid", "1", "--caller", process.execPath)
    expect((await get()).code).toBe(77)
    await grant("--uid", "65534", "--until", "10s")
    expect((await get()).code).toBe(0)
    // Each refusal is a row that is counted below.
    await sleep(10_100)
    expect((await get()).code).toBe(77)
    await grant("--uid", "65534", "--caller", process.execPath)
    expect((await get()).code).toBe(0)
    const listed = JSON.parse((await place.run(["grants", "--json"])).stdout) as { id: number }[]
    await place.run(["revoke", String(listed.at(-1)?.id)])
    expect((await get()).code).toBe(77)
    await grant("--uid", "65534", "--caller", "/bin/cat")
    expect((await get()).code).toBe(77)
    await grant("--uid", "65534")
    expect((await get()).code).toBe(0)
    // Each of it is in the audit.
    const rows = JSON.parse((await place.run(["audit", "--json", "--subject", "65534"])).stdout) as {
      outcome: string
    }[]
    expect(rows.filter(({ outcome }) => outcome === "done")).toHaveLength(5)
    expect(rows.filter(({ outcome }) => outcome !== "done").length).toBeGreaterThanOrEqual(6)
  })

  test("a program runs as who asked for it, not as the vault", async (context) => {
    skipIf(context, requireRoot(), requirePrograms("setpriv", "mkfifo"))
    await using place = await VaultPlace.make()
    await place.unlock()
    await place.run(["put", "a"], { input: VALUE })
    const words = [
      "exec",
      "--env",
      "K=a",
      "--",
      "/bin/sh",
      "-c",
      'id -u; id -g; id -G; printf %s "$K" | wc -c',
    ]
    expect((await place.run(words, asNobody)).code).toBe(77)
    const only = ["--verb", "exec", "--uid", "65534", "--program", "/bin/sh"]
    await place.run(["grant", "a", ...only, ...place.passphrase])
    expect((await place.run(words, asNobody)).stdout).toBe(`65534\n65534\n65534\n${VALUE.length}\n`)
    // A program that waits to be opened does not stop the vault.
    const fifo = join(place.base, "fifo")
    spawnSync("mkfifo", ["-m", "666", fifo])
    expect((await place.run(["exec", "--env", "K=a", "--", fifo], asNobody)).code).not.toBe(0)
    expect((await place.run(["list"])).code).toBe(0)
  })

  test("too many wrong passphrases are not looked at any more", async () => {
    await using place = await VaultPlace.make()
    await place.unlock()
    await place.run(["put", "a"], { input: VALUE })
    for (let i = 0; i < 5; i += 1) expect((await place.run(["get", "a", ...place.wrong])).code).toBe(77)
    expect((await place.run(["get", "a", ...place.wrong])).code).toBe(75)
    expect((await place.run(["get", "a", ...place.passphrase])).code).toBe(75)
    // Each is a row, and the same holds at `unlock`, where the vault's process has no memory of it.
    const { stdout } = await place.run(["audit", "--json"])
    const rows = JSON.parse(stdout) as { event: string; outcome: string }[]
    const outcomes = rows.filter(({ event }) => event === "proof").map(({ outcome }) => outcome)
    expect(outcomes).toEqual(["denied", "denied", "denied", "denied", "denied", "busy", "busy"])
    await place.run(["lock"])
    {
      using db = VaultDatabase.open(place.directory)
      for (let i = 0; i < 5; i += 1)
        noteAttempt(db, { uid: 0, pid: 1 }, "this passphrase does not open the vault")
    }
    expect(said(await place.run(["unlock", ...place.passphrase]))).toBe(
      "exit 75\nclawfs: too many wrong passphrases\nhint: try again in a minute",
    )
  })
})

describe("hostile clients", () => {
  test("whatever is sent, the vault answers or drops it, and goes on", async () => {
    await using place = await VaultPlace.make()
    await place.unlock()
    const socket = join(place.directory, "vault.sock")
    const messages = [
      Buffer.from(""),
      Buffer.from("{"),
      Buffer.from("null"),
      Buffer.from('{"method":"get"}'),
      Buffer.from('{"method":"__proto__","params":{}}'),
      Buffer.from('{"method":"get","params":{"name":"a","fd":7}}'),
      Buffer.from('{"method":"put","params":{"name":"a","fd":0}}'),
      Buffer.from('{"method":"exec","params":{}}'),
      Buffer.alloc(60_000, 0x7b),
      Buffer.alloc(70_000, 0x7b),
    ]
    for (const message of messages) {
      const fd = connectTo(socket, 5)
      if (fd === undefined) throw new Error("nobody listens")
      expect(peerOf(fd).pid).toBe(await place.pid())
      sendMessage(fd, message)
      if (message.length === 0) continue
      const answer = receiveMessage(fd, { wait: true })
      if (typeof answer !== "object") throw new Error(`no answer: ${String(answer)}`)
      expect(JSON.parse(answer.data.toString())).toMatchObject({ ok: false })
    }
    expect((await place.run(["list"])).code).toBe(0)
  })

  test("a client that sends no value, or takes none, does not stop the vault", async () => {
    await using place = await VaultPlace.make()
    await place.unlock()
    const socket = join(place.directory, "vault.sock")
    const child = spawn("sleep", ["60"], { stdio: ["pipe", "pipe", "ignore"] })
    try {
      const fd = connectTo(socket, 5)
      if (fd === undefined) throw new Error("nobody listens")
      // The read end of a pipe whose other end stays open: the child's stdin is a socket here, so its own end is passed.
      const open = connectTo(socket, 5) ?? 0
      sendMessage(fd, Buffer.from('{"method":"put","params":{"name":"a","fd":0}}'), [open])
      const answer = receiveMessage(fd, { wait: true })
      if (typeof answer !== "object") throw new Error("no answer")
      expect(JSON.parse(answer.data.toString())).toMatchObject({ ok: false, error: { kind: "invalid" } })
      expect((await place.run(["list"])).code).toBe(0)
    } finally {
      child.kill()
    }
  })

  test("the process can't be traced or read, and its files are its owner's", async (context) => {
    skipIf(context, requireRoot(), requirePrograms("setpriv"))
    await using place = await VaultPlace.make()
    await place.unlock()
    const pid = await place.pid()
    expect(statSync(place.directory).mode & 0o777).toBe(0o711)
    for (const name of readdirSync(place.directory).filter((each) => each !== "vault.sock"))
      expect(statSync(join(place.directory, name)).mode & 0o777, name).toBe(0o600)
    // Not dumpable: its files in /proc are root's, also for a process of the same user.
    expect(readFileSync(`/proc/${pid}/status`, "utf8")).toMatch(/^Name:\tnode/m)
    expect(readFileSync(`/proc/${pid}/limits`, "latin1")).toMatch(/^Max core file size +0 +0/m)
    expect(readFileSync(`/proc/${pid}/coredump_filter`, "latin1").trim()).toMatch(/^0+$/)
  })
})
