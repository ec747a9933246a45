/** Programs on the filesystem: ETXTBSY while they run, and who may run them. */
import { spawn, spawnSync } from "node:child_process"
import { O } from "../abi.ts"
import { type Case, type Test, sleep } from "../check.ts"
import { type Role, roles } from "../crew.ts"

const PROGRAM = "/bin/sleep"

function install(t: Test, mode = 0o755): string {
  const path = `${t.directory}/program`
  const copied = spawnSync("cp", [PROGRAM, path], { timeout: 10_000 })
  if (copied.status !== 0) throw new Error(`cp: ${copied.stderr.toString()}`)
  t.ok(t.root.chmod("program", mode))
  return path
}

/** What the attempt to run it came to: "ok" or an errno. */
function execute(path: string, role: Role): string {
  const { uid, gid } = roles[role]
  const { error, status } = spawnSync(path, ["0"], { uid, gid, timeout: 10_000 })
  if (error === undefined) return status === 0 ? "ok" : `status ${status}`
  return (error as NodeJS.ErrnoException).code ?? String(error)
}

export const cases: readonly Case[] = (
  [
    {
      name: "a program that runs cannot be written to (ETXTBSY), but renamed, linked and unlinked",
      run: (t) => {
        const path = install(t)
        const child = spawn(path, ["60"], { stdio: "ignore" })
        t.defer(() => child.kill("SIGKILL"))
        sleep(50)
        for (const flags of [O.WRONLY, O.RDWR, O.WRONLY | O.TRUNC])
          t.fails("ETXTBSY", t.root.open("program", flags))
        t.fails("ETXTBSY", t.root.truncate("program", 1))
        t.succeeds(t.root.open("program", O.RDONLY))
        t.succeeds(t.root.chmod("program", 0o700))
        t.succeeds(t.root.link("program", "second"))
        t.succeeds(t.root.rename("program", "renamed"))
        t.fails("ETXTBSY", t.root.open("second", O.WRONLY))
        t.succeeds(t.root.unlink("renamed"))
      },
    },
    {
      name: "a file open for writing cannot be run: ETXTBSY; afterwards it can",
      run: (t) => {
        const path = install(t)
        const fd = t.ok(t.root.open("program", O.RDWR))
        t.equal(execute(path, "root"), "ETXTBSY", "result while it is open for writing")
        t.ok(t.root.close(fd))
        t.equal(execute(path, "root"), "ok", "result afterwards")
      },
    },
    {
      name: "running needs the x bit of one's class; root needs any",
      run: (t) => {
        const path = install(t)
        t.ok(t.root.chown("program", 71001, 71001))
        for (const [mode, role, result] of [
          [0o111, "owner", "ok"],
          [0o677, "owner", "EACCES"],
          [0o767, "mate", "EACCES"],
          [0o010, "mate", "ok"],
          [0o776, "stranger", "EACCES"],
          [0o001, "stranger", "ok"],
          [0o666, "root", "EACCES"],
          [0o001, "root", "ok"],
        ] as const) {
          t.ok(t.root.chmod("program", mode))
          t.equal(execute(path, role), result, `mode ${mode.toString(8)} run by ${role}`)
        }
      },
    },
    {
      name: "a script runs by its first line, a directory never",
      run: (t) => {
        t.file("script", { mode: 0o755, content: "#!/bin/sh\nexit 0\n" })
        t.equal(execute(`${t.directory}/script`, "stranger"), "ok", "result")
        t.dir("d")
        t.equal(execute(`${t.directory}/d`, "root"), "EACCES", "result of a directory")
      },
    },
  ] satisfies Case[]
).map((item): Case => ({ ...item, group: "execution" }))
