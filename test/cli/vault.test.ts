/** `clawfs vault`, end to end: what it says and gives, who gets what, what is left behind. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { copyFileSync, existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { beforeEach, describe, expect, test } from "vitest"
import { skipIf } from "../helpers/requirements.ts"
import { scanMemory } from "../helpers/residue.ts"
import { Database } from "../../clawfs/store/database.ts"
import { Ring, dropKey } from "../../clawfs/sys/keyctl.ts"
import { Swtpm, requireSwtpm } from "../helpers/swtpm.ts"
import { bin, requireBuild, said } from "./harness.ts"
import { PASSPHRASE, VaultPlace } from "./vault-place.ts"

const requireRoot = (): string | undefined => (process.getuid?.() === 0 ? undefined : "not root")
const VALUE = "sk-test-4f3e2d1c0b9a8877"
beforeEach((context) => skipIf(context, requireBuild()))

describe("a vault without a TPM", () => {
  test("is made, unlocked, used and locked", async () => {
    await using place = await VaultPlace.make()
    expect(said(await place.run(["list"]))).toBe(
      "exit 77\nclawfs: the vault is locked\nhint: clawfs vault unlock",
    )
    expect((await place.run(["status"])).code).toBe(1)
    expect((await place.run(["unlock", ...place.wrong])).code).toBe(77)
    await place.unlock()
    expect((await place.run(["status"])).code).toBe(0)
    expect(said(await place.run(["put", "a-key", "--tags", "x,y"], { input: `${VALUE}\n` }))).toBe(
      "exit 0\nclawfs: a-key is stored, version 1",
    )
    const got = await place.run(["get", "a-key", ...place.passphrase])
    expect([got.code, got.stdout]).toEqual([0, VALUE])
    expect((await place.run(["put", "a-key"], { input: "second" })).code).toBe(0)
    expect((await place.run(["get", "a-key", "--version", "1", ...place.passphrase])).stdout).toBe(VALUE)
    expect((await place.run(["list"])).stdout).toMatch(/^a-key +v2 .* x,y\n$/)
    expect((await place.run(["rotate", "--root"])).code).toBe(0)
    expect((await place.run(["get", "a-key", ...place.passphrase])).stdout).toBe("second")
    expect((await place.run(["destroy", "a-key", "--version", "1"])).code).toBe(0)
    expect((await place.run(["get", "a-key", "--version", "1", ...place.passphrase])).code).toBe(66)
    expect((await place.run(["rm", "a-key"])).code).toBe(0)
    expect((await place.run(["get", "a-key", ...place.passphrase])).code).toBe(66)
    const { stdout } = await place.run(["audit", "verify"])
    expect(stdout).toMatch(/^\d+:[0-9a-f]{64}\n$/)
    expect((await place.run(["audit", "verify", "--known", stdout.trim()])).code).toBe(0)
    expect((await place.run(["lock"])).code).toBe(0)
    expect((await place.run(["lock"])).code).toBe(0)
    const checkup = await place.run(["doctor"])
    expect([checkup.code, checkup.stdout]).toEqual([
      0,
      expect.stringContaining("ok    the database is whole"),
    ])
    expect(checkup.stdout).toContain("weak  no TPM")
    // The end was signed when it was locked; old rows go with a proof, and the rest is a chain.
    await place.unlock()
    expect((await place.run(["audit", "verify"])).stderr).toMatch(
      /1 signatures of its end, by Ed25519 [0-9a-f]{16}/,
    )
    const exported = (await place.run(["audit", "export"])).stdout.trim().split("\n")
    expect(JSON.parse(exported[0] ?? "")).toMatchObject({ seq: 1, event: "init", outcome: "done" })
    expect((await place.run(["audit", "prune", "--keep", "1s", ...place.wrong])).code).toBe(77)
    expect((await place.run(["audit", "prune", "--keep", "1s"])).code).not.toBe(0)
    expect((await place.run(["audit", "prune", "--keep", "90d", ...place.passphrase])).stderr).toContain(
      "0 rows are",
    )
    expect((await place.run(["audit", "prune", "--keep", "1s", ...place.passphrase])).code).toBe(0)
    expect((await place.run(["audit", "verify"])).stderr).toMatch(/rows up to \d+ were pruned/)
    await place.run(["lock"])
    expect((await place.run(["unlock", ...place.wrong])).code).toBe(77)
    // The wrong passphrase of before is told when there is a key to write it down with.
    await place.unlock()
    expect((await place.run(["audit"])).stdout).toContain("this passphrase does not open the vault")
  })

  test("recovery words open it, in any case, and a mistake in them is told", async () => {
    const place = new VaultPlace()
    await using _ = place
    const { stdout } = await place.run(["init", "--no-tpm", ...place.passphrase, "--kdf", "pbkdf2"])
    const words = join(place.base, "words")
    writeFileSync(words, stdout.toUpperCase(), { mode: 0o600 })
    expect(stdout.trim().split(" ")).toHaveLength(17)
    expect((await place.run(["unlock", "--recovery-file", words])).code).toBe(0)
    await place.run(["lock"])
    writeFileSync(words, stdout.replace(/^./, "x"), { mode: 0o600 })
    expect(said(await place.run(["unlock", "--recovery-file", words]))).toMatch(
      /^exit 65\n.*word 1 .*misspelt/,
    )
  })

  test("protectors are added and removed with a proof", async () => {
    await using place = await VaultPlace.make()
    await place.unlock()
    const file = join(place.base, "key")
    writeFileSync(file, "k".repeat(40), { mode: 0o600 })
    expect((await place.run(["protector", "add", ...place.wrong, "--new-key-file", file])).code).toBe(77)
    expect((await place.run(["protector", "add", ...place.passphrase, "--new-key-file", file])).code).toBe(0)
    const more = await place.run(["protector", "add", "recovery", "--key-file", file])
    expect(more.stdout.trim().split(" ")).toHaveLength(17)
    for (const number of ["1", "2"])
      expect((await place.run(["protector", "remove", number, "--key-file", file])).code).toBe(0)
    expect((await place.run(["protector", "remove", "3", "--key-file", file])).code).toBe(65)
    await place.run(["lock"])
    expect((await place.run(["unlock", ...place.passphrase])).code).toBe(66)
    expect((await place.run(["unlock", "--key-file", file])).code).toBe(0)
  })

  test("says in one sentence what is wrong", async () => {
    await using place = await VaultPlace.make()
    const cases: [string[], number][] = [
      [["frobnicate"], 64],
      [["put"], 64],
      [["get", "a", "b"], 64],
      [["init", ...place.passphrase], 73],
      [["unlock", "--key-file", "/nonexistent"], 66],
      [["adopt", ...place.passphrase], 65],
    ]
    for (const [args, code] of cases) {
      const result = await place.run(args)
      expect(result.code, args.join(" ")).toBe(code)
      expect(result.stderr).toMatch(/^clawfs: .*\n(hint: .*\n)?$/)
    }
    await place.unlock()
    // A value among the arguments is refused, and not shown once more.
    const { code, stderr } = await place.run(["put", "a", VALUE])
    expect([code, stderr.includes(VALUE)]).toEqual([64, false])
    expect(stderr).toMatch(/^clawfs: vault put: a value is no argument, .*\nhint: .*\n$/)
    expect((await place.run(["list"])).stderr).toContain("the vault is empty")
    expect((await place.run(["put", "old", "--expires", "2020-01-01"], { input: "x" })).code).toBe(0)
    const unlocked: [string[], number, string][] = [
      [["put", "A B"], 65, "x"],
      [["put", "a"], 65, ""],
      [["put", "a"], 65, "x".repeat(70_000)],
      [["get", "nothing", ...place.passphrase], 66, ""],
      [["get", "old", ...place.passphrase], 77, ""],
      [["history", "nothing"], 66, ""],
      [["rotate", "nothing"], 66, "x"],
      [["rotate"], 64, ""],
      [["revoke", "7"], 66, ""],
      [["grant", "nothing", "--verb", "reveal", ...place.passphrase], 66, ""],
      [["grant", "nothing", "--verb", "steal"], 64, ""],
      [["grant", "old", "--verb", "reveal", "--uses", "0", ...place.passphrase], 64, ""],
      [["grant", "old", "--verb", "sign", "--as", "jwt,rot13", ...place.passphrase], 64, ""],
      [["exec", "--env", "K=nothing", "--", "/nonexistent/program"], 66, ""],
      [["exec", "--env", "1K=nothing", "--", "/bin/true"], 64, ""],
      [["exec", "--", "/bin/true"], 64, ""],
      [["exec", "--env", "LD_PRELOAD=nothing", "--", "/bin/true"], 65, ""],
      [["unlock"], 0, ""],
      [["audit", "--since", "yesterday"], 64, ""],
      [["protector", "remove", "9", ...place.passphrase], 66, ""],
    ]
    for (const [args, code, input] of unlocked) {
      const result = await place.run(args, { input })
      expect(result.code, args.join(" ")).toBe(code)
      expect(result.stderr).toMatch(/^clawfs: .*\n(hint: .*\n)?$/)
    }
    const { stdout } = await place.run(["audit", "--json"])
    expect(JSON.parse(stdout)).toContainEqual(expect.objectContaining({ event: "get", outcome: "denied" }))
    await place.run(["lock"])
    // Rows that are not the vault's own, and what is no database at all.
    const db = join(place.directory, "vault.db")
    {
      const file = new Database(db)
      file.query("UPDATE protector SET mac = zeroblob(32)").run()
      file[Symbol.dispose]()
    }
    const damaged = await place.run(["unlock", ...place.passphrase])
    writeFileSync(db, "no database".repeat(1000))
    for (const result of [damaged, await place.run(["unlock", ...place.passphrase])]) {
      expect([result.code, result.stderr]).toEqual([
        expect.any(Number),
        expect.stringMatching(/^clawfs: .*\n(hint: .*\n)?$/),
      ])
      expect([0, null]).not.toContain(result.code)
    }
  })

  test("a vault.db that was put back is noticed without a TPM too, as long as the machine runs", async () => {
    await using place = await VaultPlace.make()
    const db = join(place.directory, "vault.db")
    await place.unlock()
    await place.run(["put", "a"], { input: "old" })
    await place.run(["lock"])
    copyFileSync(db, join(place.base, "older"))
    await place.unlock()
    await place.run(["put", "a"], { input: "new" })
    await place.run(["lock"])
    copyFileSync(join(place.base, "older"), db)
    const refused = await place.run(["unlock", ...place.passphrase])
    expect([refused.code, refused.stderr]).toEqual([
      77,
      expect.stringMatching(
        /^clawfs: the vault is older than when this machine saw it last: .*\nhint: .*clawfs vault adopt\n$/,
      ),
    ])
    expect((await place.run(["adopt", ...place.wrong])).code).toBe(77)
    expect((await place.run(["adopt", ...place.passphrase])).code).toBe(0)
    expect((await place.run(["get", "a", ...place.passphrase])).stdout).toBe("old")
    await place.run(["lock"])
    await place.unlock()
    expect((await place.run(["adopt", ...place.passphrase])).code).not.toBe(0)
  })

  test("locks itself when it is not used", async () => {
    await using place = await VaultPlace.make("--no-tpm", "--idle", "3s")
    await place.unlock()
    for (let i = 0; i < 5; i += 1) {
      await sleep(900)
      expect((await place.run(["list"])).code).toBe(0)
    }
    // Looking at the state does not keep it open.
    for (let i = 0; i < 8 && (await place.run(["status"])).code === 0; i += 1) await sleep(1000)
    expect((await place.run(["list"])).code).toBe(77)
  })

  test("one process has it at a time, and a killed one leaves a locked vault", async () => {
    await using place = await VaultPlace.make()
    await place.unlock()
    await place.run(["put", "a"], { input: VALUE })
    const pid = await place.pid()
    process.kill(pid, "SIGKILL")
    while (existsSync(`/proc/${pid}/maps`)) await sleep(10)
    expect((await place.run(["list"])).code).toBe(77)
    const both = await Promise.all([
      place.run(["unlock", ...place.passphrase]),
      place.run(["unlock", ...place.passphrase]),
    ])
    expect(both.map(({ code }) => code).sort()).toEqual([0, 75])
    expect((await place.run(["get", "a", ...place.passphrase])).stdout).toBe(VALUE)
  })
})

test("with a TPM: unlocks by itself, and asks for a person when it can't", async (context) => {
  skipIf(context, requireSwtpm())
  await using swtpm = await Swtpm.start()
  await using place = await VaultPlace.make("--tpm", swtpm.tcti, "--pcrs", "7,10")
  expect((await place.run(["unlock"])).code).toBe(0)
  await place.run(["put", "a"], { input: VALUE })
  await place.run(["rotate", "--root"])
  const saved = join(place.base, "saved.db")
  await place.run(["lock"])
  // All is in the one file when the command has ended.
  expect(existsSync(join(place.directory, "vault.db-wal"))).toBe(false)
  copyFileSync(join(place.directory, "vault.db"), saved)
  expect((await place.run(["unlock"])).code).toBe(0)
  await place.run(["put", "b"], { input: VALUE })
  const { uuid } = JSON.parse((await place.run(["status", "--json"])).stdout) as { uuid: string }
  await place.run(["lock"])
  // Put back within the root key's time, and the kernel has forgotten: the TPM has not.
  const newest = join(place.base, "newest.db")
  copyFileSync(join(place.directory, "vault.db"), newest)
  copyFileSync(saved, join(place.directory, "vault.db"))
  dropKey(`clawfs:vault-end:${uuid}`, Ring.USER)
  const behind = await place.run(["unlock"])
  expect([behind.code, behind.stderr]).toEqual([
    77,
    expect.stringMatching(
      /^clawfs: the vault is older than its TPM's note: .*\nhint: .*clawfs vault adopt\n$/,
    ),
  ])
  copyFileSync(newest, join(place.directory, "vault.db"))
  expect((await place.run(["unlock"])).code).toBe(0)
  expect((await place.run(["status"])).stdout).toMatch(/^rollback {4}noticed by swtpm:/m)
  await place.run(["rotate", "--root"])
  await place.run(["lock"])
  copyFileSync(saved, join(place.directory, "vault.db"))
  const refused = await place.run(["unlock"])
  expect([refused.code, refused.stderr]).toEqual([
    77,
    expect.stringContaining("older than its TPM's counter"),
  ])
  expect((await place.run(["unlock", ...place.passphrase])).code).toBe(77)
  const adopted = await place.run(["adopt", ...place.passphrase])
  expect(adopted.code, adopted.stderr).toBe(0)
  await place.run(["lock"])
  await swtpm.reboot()
  expect((await place.run(["unlock"])).code).toBe(0)
  expect((await place.run(["get", "a", ...place.passphrase])).stdout).toBe(VALUE)
  await place.run(["lock"])
  await swtpm.powerOff()
  expect((await place.run(["unlock"])).code).toBe(69)
})

describe("exec", () => {
  test("gives a program what a grant allows, and takes values out of its output", async () => {
    await using place = await VaultPlace.make()
    await place.unlock()
    await place.run(["put", "a"], { input: VALUE })
    const run = (...args: string[]): ReturnType<VaultPlace["run"]> => place.run(["exec", ...args])
    expect((await run("--env", "K=a", "--", "sh", "-c", "echo $K")).code).toBe(77)
    await place.run(["grant", "a", "--verb", "exec", ...place.passphrase])
    const script =
      'printf %s "$K" | wc -c; echo "<$K>"; printf %s "$K" | base64; printf %s "$K" | od -An -tx1 | tr -d " \\n"; exit 3'
    const env = await run("--env", "K=a", "--", "sh", "-c", script)
    expect(env.code).toBe(3)
    expect(env.stdout).toBe(`${VALUE.length}\n<[secret a]>\n[secret a]\n[secret a]`)
    expect(env.stderr).toContain("3 values were taken out of the output: a")
    const fd = await run("--fd", "K=a", "--", "sh", "-c", 'cat "$K" | wc -c; cat "$K"; env | grep -c sk-')
    expect(fd.stdout).toBe(`${VALUE.length}\n0\n`)
    const piped = await place.run(["exec", "--env", "K=a", "--", "cat"], {
      input: `say ${VALUE} twice ${VALUE}`,
    })
    expect(piped.stdout).toBe("say [secret a] twice [secret a]")
    const split = 'printf %s "$K" | while IFS= read -r -n1 c; do printf %s "$c"; sleep 0.01; done'
    expect((await run("--env", "K=a", "--", "bash", "-c", split)).stdout).toBe("[secret a]")
    const error = await run("--env", "K=a", "--", "sh", "-c", 'echo "$K" >&2; kill -TERM $$')
    expect([error.code, error.stderr]).toEqual([143, expect.stringContaining("[secret a]")])
    // What gets through by design: the program may compute with what it was given.
    const sum = await run("--env", "K=a", "--", "sh", "-c", 'printf %s "$K" | sha256sum')
    expect(sum.stdout).toMatch(/^[0-9a-f]{64} /)
    expect((await place.run(["audit"])).stdout).toContain("  leak  done  ")
  })

  test("runs the very bytes that the grant names, with a clean environment", async () => {
    await using place = await VaultPlace.make()
    await place.unlock()
    await place.run(["put", "a"], { input: VALUE })
    const tool = join(place.base, "tool")
    writeFileSync(tool, "#!/bin/sh\nenv; echo args: $@\n", { mode: 0o755 })
    await place.run([
      "grant",
      "a",
      "--verb",
      "exec",
      "--program",
      tool,
      "--args",
      "list",
      ...place.passphrase,
    ])
    const run = (...args: string[]): ReturnType<VaultPlace["run"]> =>
      place.run(["exec", "--fd", "K=a", "--", ...args], {
        env: { BASH_ENV: "/tmp/evil.sh", PYTHONPATH: "/tmp/evil", ENV: "/tmp/evil.sh" },
      })
    const good = await run(tool, "list", "all")
    expect([good.stderr, good.code]).toEqual(["", 0])
    expect(good.stdout).toContain("args: list all")
    expect(good.stdout).not.toMatch(/PYTHONPATH|ENV=|evil/)
    expect((await run(tool, "delete")).code).toBe(77)
    expect((await run("/bin/sh", "-c", "cat /dev/fd/3")).code).toBe(77)
    writeFileSync(tool, "#!/bin/sh\ncat /dev/fd/3\n", { mode: 0o755 })
    expect((await run(tool, "list")).code).toBe(77)
  })

  test("a program ends with who asked for it, and with the vault", async () => {
    await using place = await VaultPlace.make()
    await place.unlock()
    await place.run(["put", "a"], { input: VALUE })
    await place.run(["grant", "a", "--verb", "exec", ...place.passphrase])
    const mark = `4${process.pid}.25`
    const start = () =>
      spawn(process.execPath, [bin, "vault", "exec", "--env", "K=a", "--", "sleep", mark], {
        stdio: "ignore",
        env: { ...process.env, CLAWFS_VAULT: place.directory },
      })
    const running = (): boolean =>
      readdirSync("/proc").some((pid) => {
        try {
          const [program = "", argument] = readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0")
          return program.endsWith("sleep") && argument === mark
        } catch {
          return false
        }
      })
    const until = async (wanted: boolean): Promise<void> => {
      for (let i = 0; running() !== wanted; i += 1) {
        if (i > 500) throw new Error(`sleep ${wanted ? "does not run" : "still runs"}`)
        await sleep(20)
      }
    }
    const asker = start()
    await until(true)
    asker.kill("SIGKILL")
    await until(false)
    const other = start()
    await until(true)
    await place.run(["lock"])
    await until(false)
    if (other.exitCode === null && other.signalCode === null) await once(other, "exit")
  })
})

test("no value or passphrase is left: memory, files, environment, arguments, log", async (context) => {
  skipIf(context, requireRoot())
  await using place = await VaultPlace.make()
  await place.unlock()
  await place.run(["put", "a", "--description", "for the residue test"], { input: VALUE })
  await place.run(["grant", "a", "--verb", "exec", ...place.passphrase])
  await place.run(["get", "a", ...place.passphrase])
  await place.run(["exec", "--env", "K=a", "--", "sh", "-c", "test -n $K"])
  await place.run(["exec", "--fd", "K=a", "--", "sh", "-c", "cat $K >/dev/null"])
  await place.run(["put", "a"], { input: "another" })
  await place.run(["rotate", "--root"])
  await place.run(["protector", "add", "recovery", ...place.passphrase])
  const pid = await place.pid()
  for (const needle of [VALUE, PASSPHRASE]) {
    const { places, bytes } = scanMemory(pid, Buffer.from(needle))
    expect(places).toEqual([])
    expect(bytes).toBeGreaterThan(10_000_000)
    for (const name of readdirSync(place.directory).filter((each) => each !== "vault.sock"))
      expect(readFileSync(join(place.directory, name)).includes(needle), name).toBe(false)
    for (const what of ["environ", "cmdline"])
      expect(readFileSync(`/proc/${pid}/${what}`).includes(needle), what).toBe(false)
  }
  // The scanner finds what is there.
  expect(scanMemory(pid, Buffer.from(place.directory)).places.length).toBeGreaterThan(0)
})
