/** Processes that put themselves under a list, and what the kernel refuses them from then on. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { hasLibseccomp } from "../../../clawfs/sys/libseccomp.ts"
import { exec } from "../../helpers/exec.ts"
import { compiledModules } from "../../helpers/programs.ts"
import { skipIf } from "../../helpers/requirements.ts"

/** Tries things under the list of that name, and prints what came of each. */
const PROGRAM = `
import { openSync, readFileSync, unlinkSync, writeSync } from "node:fs"
import { spawnSync } from "node:child_process"
import { connect } from "node:net"
const [modules, list, file, mayGain] = process.argv.slice(1)
const { confine } = await import(modules + "/clawfs/seccomp/compile.js")
const { LISTS } = await import(modules + "/clawfs/seccomp/lists.js")
const tell = (what, result) => writeSync(1, what + " " + result + "\\n")
const attempt = (what, run) => {
  try { run(); tell(what, "ok") } catch (thrown) { tell(what, thrown.code ?? thrown.message) }
}
openSync(file, "w")
confine(LISTS.get(list)(), { mayGain: mayGain === "yes" })
const status = readFileSync("/proc/self/status", "latin1")
tell("filter", /^Seccomp:\\s+(\\d)/m.exec(status)[1] + /^NoNewPrivs:\\s+(\\d)/m.exec(status)[1])
attempt("read", () => openSync(file, "r"))
attempt("write", () => openSync(file, "r+"))
attempt("make", () => openSync(file + ".new", "w"))
attempt("kill", () => process.kill(process.ppid, 0))
attempt("start", () => { const { error } = spawnSync("/bin/true"); if (error) throw error })
attempt("remove", () => unlinkSync(file))
await new Promise((resolve) => {
  connect("/nowhere").on("error", ({ code }) => { tell("connect", code); resolve() })
})
`

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "clawfs-confine-"))
})
afterAll(() => rmSync(directory, { recursive: true }))

async function tried(list: string, mayGain: "yes" | "no"): Promise<Record<string, string>> {
  const words = [
    "--input-type=module",
    "-e",
    PROGRAM,
    compiledModules,
    list,
    join(directory, "file"),
    mayGain,
  ]
  const { stdout } = await exec(process.execPath, words)
  const lines = stdout.trim().split("\n")
  return Object.fromEntries(lines.map((line) => line.split(" ") as [string, string]))
}

describe("a process under a list", () => {
  test("extractor: it reads, and nothing else", async (context) => {
    skipIf(context, hasLibseccomp ? undefined : "needs libseccomp")
    expect(await tried("extractor", "no")).toEqual({
      ...{ filter: "21", read: "ok" },
      ...{ write: "EPERM", make: "EPERM", kill: "EPERM", start: "EPERM", remove: "EPERM", connect: "EPERM" },
    })
  })

  test("daemon: it does all of that, and may still start setuid programs", async (context) => {
    const reason = process.getuid?.() === 0 ? undefined : "needs root"
    skipIf(context, hasLibseccomp ? reason : "needs libseccomp")
    expect(await tried("daemon", "yes")).toEqual({
      ...{ filter: "20", read: "ok" },
      ...{ write: "ok", make: "ok", kill: "ok", start: "ok", remove: "ok", connect: "ENOENT" },
    })
  })
})
