/** The first program of a sandbox, run by itself: what Landlock leaves, and where secrets are. */
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { STARTER } from "../../clawfs/runner/find-programs.ts"
import { NEWEST_LANDLOCK } from "../../clawfs/runner/starter.ts"
import { landlockVersion } from "../../clawfs/sys/landlock.ts"
import { exec } from "../helpers/exec.ts"
import { repository } from "../helpers/programs.ts"
import { requirePrograms, skipIf } from "../helpers/requirements.ts"

const starter = STARTER.replace(join(repository, "clawfs"), join(repository, "dist", "clawfs"))
const missing =
  requirePrograms("setpriv", "bash") ?? (existsSync(starter) ? undefined : `${starter} is not built`)
const version = landlockVersion()
const landlock = typeof version === "number" ? Math.min(version, NEWEST_LANDLOCK) : 0
const SYSTEM = ["d/", "r/usr", "r/bin", "r/lib", "r/lib64", "r/etc", "f/dev", "f/proc"]

let directory = ""
const server = createServer((socket) => socket.destroy())
let port = 0

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "clawfs-starter-"))
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))
  port = (server.address() as AddressInfo).port
})
afterAll(() => {
  server.close()
  rmSync(directory, { recursive: true })
})
beforeEach((context) => skipIf(context, missing))

const run = (words: readonly string[], ...command: string[]): ReturnType<typeof exec> =>
  exec("setpriv", ["--no-new-privs", starter, ...words, "--", ...command])

describe("Landlock", () => {
  beforeEach((context) => skipIf(context, landlock < 4 ? "no Landlock with ports here" : undefined))

  test.each([
    ["reads what is granted", 'cat "$0/note"', 0],
    ["does not write it", 'echo x >"$0/note"', 1],
    ["makes nothing beside", 'mkdir "$0/new"', 1],
    ["removes nothing", 'rm "$0/note"', 1],
    ["cuts nothing off", 'truncate -s 0 "$0/note"', 1],
    ["opens nothing else", "cat /root/.profile /home/* /var/log/*", 1],
    ["may list directories", "ls / /root >/dev/null", 0],
    ["writes to devices that are there", "echo x >/dev/null", 0],
    ["connects nowhere", "exec 3<>/dev/tcp/127.0.0.1/$1", 1],
  ] as const)("%s", async (_title, script, code) => {
    writeFileSync(join(directory, "note"), "note")
    const words = [`l${landlock}`, ...SYSTEM, `r${directory}`]
    const ended = await run(words, "/bin/bash", "--norc", "-c", script, directory, String(port))
    expect([ended.code === 0 ? 0 : 1, ended.stderr]).toEqual([
      code,
      code === 0 ? "" : expect.stringContaining("denied"),
    ])
  })

  test("writes, renames and connects where it is granted", async () => {
    const words = [`l${landlock}`, ...SYSTEM, `w${directory}`, `t${port}`]
    const script =
      'cd "$0" && mkdir a b && echo x >a/f && mv a/f b/g && rm -r a b && exec 3<>/dev/tcp/127.0.0.1/$1'
    const { code, stderr } = await run(words, "/bin/bash", "--norc", "-c", script, directory, String(port))
    expect([code, stderr]).toEqual([0, ""])
  })

  test("a file that the caller has given may be opened once more by its number", () => {
    const words = [
      "--no-new-privs",
      starter,
      `l${landlock}`,
      ...SYSTEM,
      "--",
      "/bin/bash",
      "--norc",
      "-c",
      "echo again >/dev/stdout",
    ]
    const redirected = spawnSync("bash", ["-c", 'exec setpriv "$@" >"$0"', join(directory, "out"), ...words])
    expect([redirected.status, redirected.stderr.toString()]).toEqual([0, ""])
  })
})

test("a value is in the variable, a pipe at its path, and nothing else is open", () => {
  const script = 'exec 8< <(printf "a\\nb\\n") 9< <(printf piped) 7</etc/passwd; exec "$@"'
  const inner =
    'printf "<%s>" "$KEY"; cat "$PIPE"; echo; ls /proc/self/fd; ls /proc/self/fd/7 /proc/self/fd/8'
  const words = [starter, "e8=KEY", "p9=PIPE", "--", "/bin/bash", "-c", inner]
  const { status, stdout } = spawnSync("bash", ["-c", script, "bash", ...words], { encoding: "utf8" })
  expect(stdout).toBe("<a\nb\n>piped\n0\n1\n2\n3\n9\n")
  expect(status).toBe(2)
})

test("a value with a NUL byte is no variable's; statuses are those of a shell", async () => {
  const words = [starter, "e8=KEY", "--", "/bin/true"]
  const { status, stderr } = spawnSync(
    "bash",
    ["-c", 'exec 8< <(printf "a\\0b"); exec "$@"', "bash", ...words],
    {
      encoding: "utf8",
    },
  )
  expect([status, stderr]).toEqual([126, "clawfs: true: KEY: Invalid argument\n"])
  expect((await run([], "/no/such/program")).code).toBe(127)
  expect((await run([], "/etc/passwd")).code).toBe(126)
  expect((await run(["?"], "/bin/true")).code).toBe(126)
  expect((await exec(starter, [])).code).toBe(126)
})
