/** The systemd units: their text, what systemd thinks of them, and where they are put. */
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, expect, test, type TestContext } from "vitest"
import { unitText, type Service } from "../../clawfs/cli/systemd-unit.ts"
import { exec } from "../helpers/exec.ts"
import { requirePrograms, skipIf } from "../helpers/requirements.ts"
import { Namespace, Place, bin, clawfs, requireMounts, said } from "./harness.ts"

const golden = join(dirname(fileURLToPath(import.meta.url)), "golden")
const service: Service = {
  kind: "system",
  store: "/var/lib/clawfs",
  mountpoint: "/clawfs",
  node: "/usr/bin/node",
  program: "/usr/lib/node_modules/clawfs/dist/clawfs/cli/main.js",
}

let place: Place
beforeAll(async () => {
  if (requireMounts() === undefined) place = await Place.make()
})
afterAll(async () => {
  if (requireMounts() === undefined) await place[Symbol.asyncDispose]()
})
const needMounts = (context: TestContext): void => skipIf(context, requireMounts())

/** `UPDATE_GOLDEN=1` writes the files anew; then look at the difference. */
function expectGolden(name: string, text: string): void {
  const path = join(golden, name)
  if (process.env["UPDATE_GOLDEN"] !== undefined) writeFileSync(path, text)
  expect(text).toBe(readFileSync(path, "utf8"))
}

test("the units are those that were reviewed", () => {
  expectGolden("system.service", unitText(service))
  const home = "/home/ada lovelace"
  expectGolden(
    "user.service",
    unitText({ ...service, kind: "user", store: `${home}/50% "store"`, mountpoint: `${home}/$mount\\point` }),
  )
})

test("systemd finds nothing wrong with them", async (context) => {
  needMounts(context)
  skipIf(context, requirePrograms("systemd-analyze"))
  const path = place.directory()
  for (const kind of ["system", "user"] as const) {
    const unit = join(path, `clawfs-${kind}.service`)
    // Programs that are there: systemd looks.
    writeFileSync(
      unit,
      unitText({ ...service, kind, node: process.execPath, program: bin, store: `${path}/a b%"$` }),
    )
    const checked = await exec("systemd-analyze", [`--${kind}`, "verify", unit], {
      env: { XDG_RUNTIME_DIR: path },
    })
    expect(said(checked)).toBe("exit 0")
  }
})

test("--print writes nothing, and says what would be written", async (context) => {
  needMounts(context)
  const home = place.directory()
  const env = { HOME: home }
  const printed = await clawfs(["install-service", "--user", "--print"], { env })
  const expected = { ...service, node: process.execPath, program: bin }
  expect(printed.stdout).toBe(
    unitText({
      ...expected,
      kind: "user",
      store: `${home}/.local/share/clawfs`,
      mountpoint: `${home}/clawfs`,
    }),
  )
  expect(readdirSync(home)).toEqual([])
  const system = await clawfs(["install-service", "--print"])
  expect(system.stdout).toBe(unitText(expected))
})

test("a user's unit is written once, kept, and replaced by force only", async (context) => {
  needMounts(context)
  const home = place.directory()
  const env = { HOME: home }
  const unit = join(home, ".config", "systemd", "user", "clawfs.service")
  const next =
    `next:\n  clawfs init ${home}/.local/share/clawfs\n  mkdir -p ${home}/clawfs\n  systemctl --user daemon-reload\n` +
    "  systemctl --user enable --now clawfs\n  loginctl enable-linger    # also while you are not logged in"
  const install = ["install-service", "--user"]
  expect(said(await clawfs(install, { env }))).toBe(`exit 0\nwrote ${unit}\n${next}`)
  expect(statSync(unit).mode & 0o777).toBe(0o644)
  expect(said(await clawfs(install, { env }))).toBe(`exit 0\n${unit} is up to date\n${next}`)
  const other = [...install, "--mountpoint", join(home, "it's here")]
  expect(said(await clawfs(other, { env }))).toBe(
    `exit 73\nclawfs: ${unit} exists and differs\n` +
      "hint: --force replaces it, --name writes another one, --print shows what it would be",
  )
  expect(readFileSync(unit, "utf8")).not.toContain("it's here")
  expect((await clawfs([...other, "--name", "second"], { env })).code).toBe(0)
  expect((await clawfs([...other, "--force"], { env })).stdout).toContain(
    `mkdir -p '${home}/it'\\''s here'\n`,
  )
  expect(readFileSync(unit, "utf8")).toContain("it's here")
  expect(readdirSync(dirname(unit))).toEqual(["clawfs.service", "second.service"])
  const config = place.directory()
  expect((await clawfs(install, { env: { ...env, XDG_CONFIG_HOME: config } })).code).toBe(0)
  expect(readdirSync(join(config, "systemd", "user"))).toEqual(["clawfs.service"])
})

test("the system's unit needs root", async (context) => {
  needMounts(context)
  const path = place.directory()
  mkdirSync(join(path, "etc"))
  await using namespace = await Namespace.make('mount --bind "$1/etc" /etc/systemd/system', path)
  expect(said(await clawfs(["install-service"], { namespace, asNobody: true }))).toBe(
    "exit 77\nclawfs: no permission to write /etc/systemd/system/clawfs.service\n" +
      "hint: run this as root, or --user writes a unit of your own",
  )
  expect(readdirSync(join(path, "etc"))).toEqual([])
  const written = await clawfs(["install-service"], { namespace })
  expect(said(written)).toMatch(/^exit 0\nwrote \/etc\/systemd\/system\/clawfs.service\nnext:\n/)
  expect(readFileSync(join(path, "etc", "clawfs.service"), "utf8")).toContain("WantedBy=multi-user.target")
})
