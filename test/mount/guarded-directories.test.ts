/** Directories that ask for it are kept free of the vault's secrets, however they are written, and nobody else waits. */
import { randomBytes } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { VaultPlace } from "../cli/vault-place.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { plainDirectory, requireFuse, requirePrograms, skipIf } from "../helpers/requirements.ts"

const VALUE = "sk-live-0123456789abcdefghij"
const reason = (): string | undefined =>
  plainDirectory === undefined
    ? (requireFuse() ?? requirePrograms("python3", "setpriv"))
    : "there is no store in a plain directory"

let place: VaultPlace
let mount: Mount
let directory: string

beforeAll(async () => {
  if (reason() !== undefined) return
  place = await VaultPlace.make()
  await place.unlock()
  await place.run(["put", "api"], { input: VALUE })
  mount = await mountClawfs({ env: { ...process.env, CLAWFS_VAULT: place.directory } })
  directory = join(mount.work, "public")
  await mount.run("mkdir", ["-m", "0777", directory])
  await mount.clawfs(["guard", directory])
  await mount.run("mkdir", ["-m", "0777", join(directory, "below")])
})
afterAll(async () => {
  if (reason() !== undefined) return
  await mount[Symbol.asyncDispose]()
  await place[Symbol.asyncDispose]()
})
beforeEach((context) => skipIf(context, reason()))

/** Runs Python on the mount; `said` is what it prints. Names: `at` a path below the directory, V the value, refused(work). */
async function python(code: string): Promise<string> {
  const script = join(mount.scratch, "script.py")
  writeFileSync(
    script,
    [
      "import base64, ctypes, errno, mmap, os, sys",
      `V = b${JSON.stringify(VALUE)}`,
      `def at(name): return os.path.join(${JSON.stringify(directory)}, name)`,
      "def new(name): return os.open(at(name), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)",
      "def refused(work):",
      "  try: work()",
      "  except OSError as e: return errno.errorcode[e.errno]",
      "  return 'done'",
      code,
    ].join("\n"),
  )
  const { stdout } = await mount.run("python3", [script])
  return stdout.trim()
}

interface Row {
  readonly event: string
  readonly subject: { readonly uid: number }
  readonly detail: Readonly<Record<string, unknown>>
}

async function leaks(): Promise<Row[]> {
  const rows = JSON.parse((await place.run(["audit", "--json"])).stdout) as Row[]
  return rows.filter(({ event }) => event === "leak")
}

test("a value is refused in every way of writing it, also piece by piece, and nothing of the write is stored", async () => {
  const before = (await leaks()).length
  expect(
    await python(`
f = new("plain")
print(refused(lambda: os.write(f, b"key=" + V + b"\\n")), os.fstat(f).st_size)
print(refused(lambda: os.write(f, b"encoded " + base64.b64encode(V))))
os.write(f, b"x" * 130000 + V[:9])
print(refused(lambda: os.write(f, V[9:])), refused(lambda: os.write(f, b"other")))
g = new("below/backwards")
os.pwrite(g, V[9:], 131072)
print(refused(lambda: os.pwrite(g, V[:9], 131072 - 9)), os.fstat(g).st_size)
h = new("bytes")
print([refused(lambda: os.write(h, V[i:i+1])) for i in range(len(V))].index("EPERM") == len(V) - 1)
d = os.open(at("direct"), os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o644)
page = mmap.mmap(-1, 4096)
page[100:100 + len(V)] = V
print(refused(lambda: os.writev(d, [page])))
`),
  ).toBe("EPERM 0\nEPERM\nEPERM done\nEPERM 131091\nTrue\nEPERM")
  const rows = (await leaks()).slice(before)
  expect(rows.length).toBe(6)
  expect(rows[0]).toMatchObject({
    subject: { uid: process.getuid?.() },
    detail: { channel: "file", action: "block", count: 1 },
  })
  expect((await mount.run("cat", [join(directory, "plain")])).stdout).not.toContain(VALUE)
})

test("nor in names, link targets and attributes; the row tells the directory or file", async () => {
  const before = (await leaks()).length
  expect(
    await python(`
N = V.decode()
H = V.hex()
os.close(new("named"))
os.mkdir(at("named-directory"))
for work in [
  lambda: os.close(new(N)), lambda: os.mkdir(at("x-" + H)), lambda: os.mkfifo(at(N)),
  lambda: os.symlink("/elsewhere/" + N, at("pointing")), lambda: os.symlink("/x", at(N)),
  lambda: os.rename(at("named"), at(N)), lambda: os.rename(at("named-directory"), at("below/" + N)),
  lambda: os.link(at("named"), at(N)),
  lambda: os.setxattr(at("named"), "user.key", base64.b64encode(V)), lambda: os.setxattr(at("named"), "user." + N, b"x"),
  lambda: os.close(new("harmless")), lambda: os.setxattr(at("named"), "user.key", b"fine"),
  lambda: os.symlink("/elsewhere", at("pointing")), lambda: os.rename(at("named"), at("renamed")),
]: print(refused(work), end=" ")
print(sorted(each for each in os.listdir(at(".")) if "named" in each or N in each or H in each or each == "pointing"))
`),
  ).toBe(`${"EPERM ".repeat(10)}${"done ".repeat(4)}['named-directory', 'pointing', 'renamed']`)
  const rows = (await leaks()).slice(before)
  expect(rows).toHaveLength(10)
  for (const { detail } of rows) expect(detail).toMatchObject({ channel: "file", action: "block", count: 1 })
})

test("a long value is seen wherever two writes of it meet", async () => {
  const long = randomBytes(10_000).toString("hex")
  await place.run(["put", "long"], { input: long })
  const file = join(mount.scratch, "long")
  writeFileSync(file, long)
  expect(
    await python(`
L = open(${JSON.stringify(file)}, "rb").read()
def whole(f, data, at):
  while data:
    n = os.pwrite(f, data, at)
    data, at = data[n:], at + n
f, g = new("long"), new("long-backwards")
whole(f, b"-" * 50000 + L[:9000], 0)
print(refused(lambda: whole(f, L[9000:], 59000)), refused(lambda: whole(f, L[9000:19999], 59000)))
print(refused(lambda: whole(f, L[19999:], 69999)))
whole(g, L[1:], 1)
print(refused(lambda: whole(g, L[:1], 0)), L in os.pread(f, 99999, 0) + os.pread(g, 99999, 0))
`),
  ).toBe("EPERM done\nEPERM\nEPERM False")
  await place.run(["rm", "long"])
})

test("through a mapping: msync or fsync says it, and nobody reads it from the kernel's cache", async () => {
  expect(
    await python(`
f = new("mapped")
os.write(f, b"." * 8192)
m = mmap.mmap(f, 8192)
m[4090:4090 + len(V)] = V
print(refused(m.flush) != "done" or refused(lambda: os.fsync(f)) != "done")
del m
`),
  ).toBe("True")
  await expect
    .poll(async () => (await mount.run("cat", [join(directory, "mapped")])).stdout.includes("sk-live"), {
      timeout: 30_000,
    })
    .toBe(false)
})

test("nothing comes in by a rename, a link, a clone or a shared copy; cp is looked at", async () => {
  const outside = join(mount.work, "outside")
  await mount.run("sh", ["-c", `printf %s ${VALUE} > ${outside}`])
  const inside = (name: string): string => join(directory, name)
  expect((await mount.exec("ln", [outside, inside("linked")])).stderr).toContain("Invalid cross-device link")
  for (const command of [
    ["cp", outside, inside("copied")],
    ["cp", "--reflink=always", outside, inside("shared")],
    ["mv", outside, inside("moved")],
  ]) {
    const { code } = await mount.exec(command[0] ?? "", command.slice(1))
    expect([command[0], code]).toEqual([command[0], 1])
  }
  const cloned = await mount.clawfsAnyway(["clone", outside, inside("cloned")])
  expect([cloned.code, cloned.stderr]).toEqual([77, expect.stringContaining("lies in a guarded directory")])
  expect((await mount.exec("grep", ["-rF", VALUE, directory])).code).toBe(1)
  expect(
    await python(`
f = os.open(${JSON.stringify(outside)}, os.O_RDONLY)
g = new("ranged")
print(refused(lambda: os.copy_file_range(f, g, 100)))
`),
  ).toBe("EPERM")
})

test("alert only writes it down, a directory in it may do without, and what it was told survives", async () => {
  const below = join(directory, "below")
  const said = (await mount.clawfs(["guard", "--action", "alert", below])).stdout
  expect(said).toBe("secrets in what is written   written down\n")
  const before = (await leaks()).length
  expect(await python(`print(refused(lambda: os.write(new("below/told"), V)))`)).toBe("done")
  expect((await leaks()).slice(before)).toMatchObject([{ detail: { action: "alert" } }])
  expect((await mount.clawfs(["guard", "--off", "--json", below])).stdout).toBe('{\n  "action": null\n}\n')
  expect(await python(`print(refused(lambda: os.write(new("below/told"), V)))`)).toBe("done")
  expect((await leaks()).length).toBe(before + 1)
  await mount.clawfs(["guard", below])
  await mount.killServerAndWait()
  expect((await mount.clawfs(["guard", "--show", below])).stdout).toContain("refused")
  expect(await python(`print(refused(lambda: os.write(new("below/told"), V)))`)).toBe("EPERM")
  for (const [args, code] of [
    [["--action", "redact", below], 64],
    [["--off", "--show", below], 64],
    [[place.base], 66],
    [[join(mount.work, "outside")], 65],
  ] as const)
    expect((await mount.clawfsAnyway(["guard", ...args])).code, args.join(" ")).toBe(code)
})

test("new secrets count at once, old ones no more; with the vault locked nothing can be written, and other programs go on", async () => {
  const write = (text: string): Promise<string> =>
    python(`print(refused(lambda: os.write(new("value"), b${JSON.stringify(text)})))`)
  expect(await write("another-value-0123")).toBe("done")
  await place.run(["put", "other"], { input: "another-value-0123" })
  expect(await write("another-value-0123")).toBe("EPERM")
  await place.run(["rm", "other"])
  expect(await write("another-value-0123")).toBe("done")
  await place.run(["lock"])
  expect(await write("harmless")).toBe("EACCES")
  await mount.run("sh", ["-c", `echo fine > ${join(mount.work, "unguarded")}`])
  await place.unlock()
  expect(await write("harmless")).toBe("done")
  // A killed process of the vault is a locked vault.
  process.kill(await place.pid(), "SIGKILL")
  await expect.poll(() => write("harmless"), { timeout: 30_000 }).toBe("EACCES")
  await place.unlock()
  expect(await write("harmless")).toBe("done")
})

test("many programs at once: each write is stored or refused as a whole, also when its neighbours are written meanwhile", async () => {
  const made = await python(`
import threading
results = []
def pair(n):
  f = os.open(at("race%d" % n), os.O_RDWR | os.O_CREAT, 0o644)
  halves = [(V[:14], 0), (V[14:], 14)]
  out = [None, None]
  def half(i): out[i] = refused(lambda: os.pwrite(f, halves[i][0], halves[i][1]))
  ts = [threading.Thread(target=half, args=(i,)) for i in (0, 1)]
  [t.start() for t in ts]; [t.join() for t in ts]
  results.append(V in os.pread(f, 100, 0))
ts = [threading.Thread(target=pair, args=(n,)) for n in range(40)]
[t.start() for t in ts]; [t.join() for t in ts]
print(len(results), any(results))
`)
  expect(made).toBe("40 False")
  expect(existsSync(join(mount.store, "clawfs.log"))).toBe(true)
  expect(readFileSync(join(mount.store, "clawfs.log"), "utf8")).not.toContain("sk-live")
})
