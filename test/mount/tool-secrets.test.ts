/** Tools that use secrets of the vault: who gets them, who not, and what becomes of them on the way out. */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, chmodSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { VaultPlace } from "../cli/vault-place.ts"
import { waitUntil, type Finished } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { skipIf } from "../helpers/requirements.ts"
import {
  installTool,
  lastRecord,
  leftovers,
  requireTools,
  runTool,
  runnerOf,
  toolPath,
} from "../tools/tools.ts"

const VALUE = "sk-live-0123456789abcdef"
const NOTE = "line one of it\nline two of it, longer"

let mount: Mount
let place: VaultPlace
let own: string

const grant = async (secret: string, ...limits: string[]): Promise<void> => {
  const { code, stderr } = await place.run([
    "grant",
    secret,
    "--verb",
    "exec",
    ...limits,
    ...place.passphrase,
  ])
  if (code !== 0) throw new Error(stderr)
}

/** A tool that has `api-key` in KEY and `note` as a pipe, and runs its first argument as a script. */
const install = (name: string, more: object = {}): Promise<void> =>
  installTool(
    mount,
    {
      tool_id: name,
      capabilities: [
        ...["process:spawn", "secret:exec:api-key", "secret:exec:note"],
        `filesystem:write:${own.replace(mount.mountpoint, "/clawfs")}`,
      ],
      secrets: { KEY: { name: "api-key" }, NOTE: { name: "note", as: "fd" } },
      ...more,
    },
    { script: '#!/bin/bash\neval "$1"\n' },
  )

const using = (script: string, name = "user-of-keys"): Promise<Finished> => runTool(mount, name, [script])

beforeAll(async () => {
  if (requireTools() !== undefined) return
  place = await VaultPlace.make()
  mount = await mountClawfs({ limitSeconds: 300, env: { ...process.env, CLAWFS_VAULT: place.directory } })
  own = join(mount.work, "own")
  mkdirSync(own)
  chmodSync(own, 0o777)
  await install("user-of-keys")
})
afterAll(async () => {
  if (requireTools() !== undefined) return
  await mount[Symbol.asyncDispose]()
  await place[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, requireTools()))

test("locked, and without a grant: one sentence, and the tool has not begun", async () => {
  const ran = join(own, "ran")
  const locked = await using(`touch ${ran}`)
  expect([locked.code, locked.stdout, locked.stderr]).toEqual([
    126,
    "",
    `clawfs: user-of-keys: it needs the secrets api-key, note, and no vault is unlocked in ${place.directory}\nhint: clawfs vault unlock\n`,
  ])
  expect(await lastRecord(mount)).toMatchObject({ reason: "NOT_STARTED", exit_status: 126 })
  await place.unlock()
  await place.run(["put", "api-key"], { input: VALUE })
  await place.run(["put", "note"], { input: NOTE })
  // To a program, or to another tool, is not to this one.
  await grant("api-key")
  await grant("note", "--tool", "another")
  const denied = await using(`touch ${ran}`)
  expect([denied.code, denied.stdout, denied.stderr]).toEqual([
    126,
    "",
    "clawfs: user-of-keys: the vault does not grant it the secrets api-key, note\n" +
      "hint: clawfs vault grant NAME --verb exec --tool user-of-keys\n",
  ])
  expect(existsSync(ran)).toBe(false)
})

test("with a grant it has them, byte for byte, and nobody else does", async () => {
  await grant("api-key", "--tool", "user-of-keys", "--uid", "0")
  await grant("note", "--tool", "user-of-keys")
  const { code, stdout } = await using(
    `printf %s "$KEY" | sha256sum; cat "$NOTE" | sha256sum; tr '\\0' '\\n' </proc/1/environ | grep -c KEY; ls /proc/self/fd | wc -l; exit 3`,
  )
  const [key, note, inFirst, descriptors] = stdout.split("\n")
  const sum = (text: string): string => `${createHash("sha256").update(text).digest("hex")}  -`
  expect([code, key, note, inFirst]).toEqual([3, sum(VALUE), sum(NOTE), "0"])
  // Three, the pipe of the note, and the directory that is listed.
  expect(Number(descriptors)).toBe(5)
  const other = await runTool(mount, "user-of-keys", ["true"], { env: { KEY: "mine" } })
  expect(other.code).toBe(0)
  await installTool(
    mount,
    { tool_id: "plain", capabilities: ["process:spawn"] },
    { script: '#!/bin/sh\necho "${KEY-none} ${NOTE-none}"\n' },
  )
  expect((await runTool(mount, "plain")).stdout).toBe("none none\n")
})

test("what it writes is filtered, on both ways out, and the audit has uses and leaks", async () => {
  const { code, stdout, stderr } = await using(
    'echo "a $KEY b"; echo "$KEY" | base64 | rev | rev; echo "$KEY" >&2; cat "$NOTE"; exit 5',
  )
  expect([code, stderr]).toEqual([5, "[secret api-key]\n"])
  expect(stdout).toMatch(/^a \[secret api-key\] b\n\[secret api-key\].{0,4}\n\[secret note\]$/)
  expect(stdout).not.toContain(VALUE)
  expect(stdout).not.toContain(Buffer.from(VALUE).toString("base64").slice(0, 20))
  const { stdout: rows } = await place.run(["audit", "--json"])
  const audit = JSON.parse(rows) as { event: string; secret?: string; outcome: string; detail: object }[]
  expect(audit.filter(({ event }) => event === "leak").at(-1)?.detail).toMatchObject({ tool: "user-of-keys" })
  const used = audit.filter(({ event, outcome }) => event === "exec" && outcome === "done")
  expect(used.at(-1)).toMatchObject({ secret: "note", detail: { tool: "user-of-keys" } })
  expect(JSON.stringify(audit)).not.toContain(VALUE)
})

test("megabytes pass, and a reader that leaves ends nothing", async () => {
  const pipe =
    '"$0" "head -c 3000000 /dev/zero | tr \'\\0\' x" | wc -c; "$0" "seq 100000" | head -1; echo "${PIPESTATUS[0]}"'
  const { stdout } = await mount.exec("bash", ["-c", pipe, toolPath(mount, "user-of-keys")])
  expect(stdout).toBe("3000000\n1\n0\n")
})

/** With one secret, of one line: what such a tool writes is passed on line by line. */
const one = (name: string, version = "1.0.0", text = 'eval "$1"'): Promise<void> =>
  installTool(
    mount,
    {
      ...{ tool_id: name, version, capabilities: ["process:spawn", "secret:exec:api-key"] },
      secrets: { KEY: { name: "api-key" } },
    },
    { script: `#!/bin/bash\n${text}\n` },
  )

test("a grant can say which file the tool is, and how often", async () => {
  await one("counted")
  const binary = join(mount.mountpoint, "tools", "binaries", "counted-v1.0.0")
  await grant("api-key", "--tool", "counted", "--program", binary, "--uses", "2")
  await one("counted", "2.0.0", "echo other")
  expect((await using("echo fine", "counted")).code).toBe(126)
  await mount.clawfs(["tool", "enable", "counted", "--use", "1.0.0", "--mount", mount.mountpoint])
  const all = [
    await using("echo 1", "counted"),
    await using("echo 2", "counted"),
    await using("echo 3", "counted"),
  ]
  expect(all.map(({ code }) => code)).toEqual([0, 0, 126])
})

test("a caller that is killed, and a vault that is locked, end the tool, and nothing stays", async () => {
  const runner = runnerOf(await mount.serverPid())
  await one("waiting")
  await grant("api-key", "--tool", "waiting")
  const begin = () => spawn(toolPath(mount, "waiting"), ["echo ready; exec sleep 1000"])
  const killed = begin()
  await new Promise((resolve) => killed.stdout.once("data", resolve))
  killed.kill("SIGKILL")
  expect(await waitUntil(() => leftovers(runner).length === 0, 10_000)).toBe(true)
  const locked = begin()
  let said = ""
  locked.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()))
  await new Promise((resolve) => locked.stdout.once("data", resolve))
  await place.run(["lock"])
  expect(await waitUntil(() => locked.exitCode !== null, 10_000)).toBe(true)
  expect([locked.exitCode, said]).toEqual([
    125,
    "clawfs: waiting: the vault that gave its secrets has been locked, and it was killed\n",
  ])
  expect(await waitUntil(() => leftovers(runner).length === 0, 10_000)).toBe(true)
})
