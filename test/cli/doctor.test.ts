/** The doctor on this machine, and on machines made worse by namespaces, permissions and paths. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { kernelChecks } from "../../clawfs/cli/doctor/kernel.ts"
import { nodeCheck } from "../../clawfs/cli/doctor/runtime.ts"
import { findBwrap } from "../../clawfs/runner/find-programs.ts"
import { exec } from "../helpers/exec.ts"
import { skipIf } from "../helpers/requirements.ts"
import {
  Namespace,
  Place,
  bin,
  clawfs,
  contents,
  deviceWithMode,
  inPlace,
  requireMounts,
  said,
  type ClawfsOptions,
} from "./harness.ts"

interface Report {
  readonly ok: boolean
  readonly checks: readonly {
    readonly id: string
    readonly level: string
    readonly message: string
    readonly hint?: string
  }[]
}

let place: Place
beforeAll(async () => {
  if (requireMounts() === undefined) place = await Place.make()
})
afterAll(async () => {
  if (requireMounts() === undefined) await place[Symbol.asyncDispose]()
})

const needMounts = (context: Parameters<typeof skipIf>[0]): void => skipIf(context, requireMounts())

async function examine(
  options: ClawfsOptions = {},
  ...operands: string[]
): Promise<Report & { exit: number | null }> {
  const { code, stdout, stderr } = await clawfs(["doctor", "--json", ...operands], options)
  expect(stderr).toBe("")
  const report = JSON.parse(stdout) as Report
  const failed = report.checks.filter(({ level }) => level === "fail")
  expect(report.ok).toBe(failed.length === 0)
  expect(code).toBe(report.ok ? 0 : 1)
  for (const { level, message, hint } of report.checks) {
    expect(message).toMatch(/^[^\n]*[^\n.]$/)
    expect(hint === undefined).toBe(level === "ok")
  }
  return { ...report, exit: code }
}

const find = (report: Report, id: string): string => {
  const check = report.checks.find((each) => each.id === id)
  return check === undefined ? "absent" : `${check.level}: ${check.message}`
}

test.concurrent("every check is made, in both forms, and mounting works here", async (context) => {
  needMounts(context)
  const { store } = place.set()
  const report = await examine({}, store)
  expect(report.checks.map(({ id }) => id)).toEqual([
    ...["kernel", "resend", "device", "mounting", "fusermount3", "allow-other", "mount-max", "control"],
    ...[
      "node",
      "koffi",
      "better-sqlite3",
      "memfd",
      "hnsw",
      "zstd",
      "argon2id",
      "seccomp",
      "tools",
      "monitor",
      "files",
      "proc",
      "accounts",
      "systemd",
      "mounts",
    ],
    ...["store", "filesystem", "space"],
  ])
  expect(report.exit).toBe(0)
  const { stdout } = await clawfs(["doctor"])
  for (const line of stdout.trimEnd().split("\n").slice(0, -2))
    expect(line).toMatch(/^(ok {2}|warn|fail) {2}[a-z0-9-]+ +\S|^ {22}hint: \S/)
  expect(stdout).toMatch(/\n\nmounting will work\n$/)
})

test.concurrent("the store is not touched", async (context) => {
  needMounts(context)
  const { path, store } = place.set()
  const before = contents(path)
  await examine({}, store)
  expect(contents(path)).toEqual(before)
})

test.concurrent("a bad store fails, with what mount would say", async (context) => {
  needMounts(context)
  const { path, store } = place.set()
  const missing = await examine({}, join(path, "none"))
  expect(find(missing, "store")).toBe(`fail: there is no store ${join(path, "none")}`)
  writeFileSync(join(store, "meta.db"), "no database")
  expect(find(await examine({}, store), "store")).toMatch(/^fail: .*meta.db is damaged/)
})

test.concurrent("a device that is missing, wrong, or closed", async (context) => {
  needMounts(context)
  {
    await using namespace = await Namespace.make("mount --bind /dev/null /dev/fuse")
    expect(find(await examine({ namespace }), "device")).toBe("fail: /dev/fuse is not the FUSE device")
  }
  await using namespace = await Namespace.make(deviceWithMode("600"), place.directory())
  const closed = await examine({ namespace, asNobody: true })
  expect(find(closed, "device")).toBe(
    "fail: /dev/fuse may not be opened by this user, and fusermount3 needs that",
  )
  expect(find(await examine({ namespace }), "device")).toBe("ok: /dev/fuse can be opened")
})

test.concurrent("fusermount3: root can do without it, others can't", async (context) => {
  needMounts(context)
  const env = { PATH: "/nowhere" }
  const absent = "fusermount3 is not on the PATH: "
  expect(find(await examine({ env }), "fusermount3")).toBe(`warn: ${absent}ordinary users can't mount`)
  expect(find(await examine({ env, asNobody: true }), "fusermount3")).toBe(`fail: ${absent}you can't mount`)

  const directory = place.directory()
  const fake = join(directory, "fusermount3")
  writeFileSync(fake, "#!/bin/sh\necho 'fusermount3 version: 3.99.1'\n")
  chmodSync(fake, 0o755)
  const plain = await examine({ env: { PATH: `${directory}:/usr/bin:/bin` }, asNobody: true })
  expect(find(plain, "fusermount3")).toBe(`fail: ${fake} (3.99.1) is not setuid root: you can't mount`)
  writeFileSync(fake, "#!/bin/sh\nexit 1\n")
  const broken = await examine({ env: { PATH: `${directory}:/usr/bin:/bin` } })
  expect(find(broken, "fusermount3")).toBe(
    `warn: ${fake} does not tell its version, so it does not work: ordinary users can't mount`,
  )
})

test.concurrent("bubblewrap that is too old, or does not work", async (context) => {
  needMounts(context)
  skipIf(context, findBwrap() === "/usr/bin/bwrap" ? undefined : "needs /usr/bin/bwrap")
  const fake = join(place.directory(), "bwrap")
  const told = async (script: string): Promise<string> => {
    writeFileSync(fake, `#!/bin/sh\n${script}\n`)
    chmodSync(fake, 0o755)
    await using namespace = await Namespace.make('mount --bind "$1" /usr/bin/bwrap', fake)
    return find(await examine({ namespace }), "tools")
  }
  expect(await told("echo bubblewrap 0.7.9")).toBe("warn: bubblewrap 0.7.9 is too old: no tool can be run")
  expect(await told("echo bubblewrap 0.11.0")).toMatch(/^ok: /)
  expect(await told("exit 1")).toBe(
    "warn: /usr/bin/bwrap does not tell its version, so it does not work: no tool can be run",
  )
})

test.concurrent("privileges: root without CAP_SYS_ADMIN, and a user that may gain none", async (context) => {
  needMounts(context)
  const doctor = [process.execPath, bin, "doctor", "--json"]
  const bounded = await inPlace("setpriv", ["--bounding-set=-sys_admin", ...doctor])
  expect(find(JSON.parse(bounded.stdout) as Report, "mounting")).toBe(
    "fail: root may not mount here: the capability CAP_SYS_ADMIN is missing",
  )
  expect(bounded.code).toBe(1)
  const confined = await inPlace("setpriv", ["--no-new-privs", ...doctor], { asNobody: true })
  expect(find(JSON.parse(confined.stdout) as Report, "fusermount3")).toMatch(
    /^fail: fusermount3 [0-9.]+ is setuid root, but this process may not gain privileges \(no_new_privs\): you can't mount$/,
  )
})

test.concurrent("the configuration of FUSE, limits, accounts", async (context) => {
  needMounts(context)
  const path = place.directory()
  mkdirSync(join(path, "etc"))
  writeFileSync(join(path, "etc", "fuse.conf"), " user_allow_other \nmount_max = 0\n")
  writeFileSync(join(path, "etc", "group"), "root:x:0:\nclawos-agents:x:900:\nclawos-users:x:901:\n")
  writeFileSync(join(path, "etc", "passwd"), "root:x:0:0::/:/bin/sh\nwasm-agent:x:902:902::/:/bin/false\n")
  const binds = ["fuse.conf", "group", "passwd"].map((name) => `mount --bind "$1/etc/${name}" /etc/${name}`)
  await using namespace = await Namespace.make(binds.join("\n"), path)
  const script = 'ulimit -n 512; exec "$0" "$@"'
  const { stdout } = await inPlace("sh", ["-c", script, process.execPath, bin, "doctor", "--json"], {
    namespace,
  })
  const report = JSON.parse(stdout) as Report
  expect(find(report, "allow-other")).toMatch(/^ok: /)
  expect(find(report, "mount-max")).toMatch(
    /^warn: \d+ FUSE mounts: users other than root can't make more \(mount_max is 0\)$/,
  )
  expect(find(report, "accounts")).toMatch(/^ok: /)
  expect(find(report, "files")).toBe("warn: a process may have only 512 files open: large stores need more")
  expect(find(await examine({ namespace, asNobody: true }), "mount-max")).toMatch(/^fail: /)
})

test.concurrent(
  "a native module that can't be loaded is named, and other commands say so too",
  async (context) => {
    needMounts(context)
    const path = place.directory()
    await exec("cp", ["-a", join(bin, "..", "..", ".."), join(path, "dist")])
    writeFileSync(join(path, "package.json"), '{ "type": "module" }')
    mkdirSync(join(path, "node_modules", "koffi"), { recursive: true })
    writeFileSync(
      join(path, "node_modules", "koffi", "package.json"),
      '{ "name": "koffi", "version": "0.0.1", "main": "x.js" }',
    )
    writeFileSync(join(path, "node_modules", "koffi", "x.js"), 'process.kill(process.pid, "SIGSEGV")')
    const repository = join(bin, "..").slice(0, join(bin, "..").search(/\/(dist|build)\//))
    await exec("ln", ["-s", join(repository, "node_modules", "zod"), join(path, "node_modules", "zod")])
    const copy = join(path, "dist", "clawfs", "cli", "main.js")
    const result = await inPlace(process.execPath, [copy, "doctor", "--json"])
    const report = JSON.parse(result.stdout) as Report
    expect(find(report, "koffi")).toBe("fail: koffi 0.0.1 does not work: it crashed with SIGSEGV")
    expect(find(report, "better-sqlite3")).toBe("fail: the module better-sqlite3 is not installed")
    expect(result.code).toBe(1)
    writeFileSync(join(path, "node_modules", "koffi", "x.js"), "throw new Error")
    await exec("rm", ["-rf", join(path, "node_modules", "koffi")])
    expect(said(await inPlace(process.execPath, [copy, "mount", "/a", "/b"]))).toBe(
      "exit 69\nclawfs: a part of this program can't be loaded\nhint: clawfs doctor tells which, npm ci installs it again",
    )
    expect((await inPlace(process.execPath, [copy, "help", "mount"])).code).toBe(0)
  },
)

test.concurrent("kernels: what they can do follows from the version, or from what a mount has agreed", () => {
  const levels = (release: string, agreed?: { minor: number; resend: boolean }): string =>
    kernelChecks(release, agreed)
      .map(({ level, facts }) => `${level} ${String(facts?.["fuseMinor"] ?? facts?.["resend"] ?? "")}`.trim())
      .join(", ")
  expect(levels("6.18.44-fc-v669")).toBe("ok 45, ok true")
  expect(levels("6.12.0")).toBe("ok 41, ok true")
  expect(levels("6.9.0-rc1")).toBe("ok 40, ok true")
  expect(levels("6.1.0-28-amd64")).toBe("ok 37, warn false")
  expect(levels("5.4.0")).toBe("ok 31, warn false")
  expect(levels("5.3.18")).toBe("fail, warn false")
  expect(levels("4.19.0")).toBe("fail, warn false")
  expect(levels("7.0.1")).toBe("ok 45, ok true")
  expect(levels("5.14.0-503.el9", { minor: 40, resend: true })).toBe("ok 40, ok true")
  expect(levels("custom")).toBe("warn")
})

test.concurrent("Node.js: 20.19 is the oldest that works", () => {
  expect(["20.18.9", "20.19.0", "22.0.0", "18.20.0"].map((version) => nodeCheck(version).level)).toEqual([
    ...["fail", "ok", "ok", "fail"],
  ])
})
