/**
 * Encrypted trees on a real mount: what is in them is found in no file of the store, log or dump, whatever happens to the
 * server meanwhile, and a locked one gives nothing away that the kernel had in its caches.
 */
import { closeSync, existsSync, openSync, readFileSync, readSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { exec, sleep } from "../helpers/exec.ts"
import { mountClawfs, type Mount } from "../helpers/mount.ts"
import { cli as CLI, plainDirectory, requireFuse, skipIf } from "../helpers/requirements.ts"

const noMount = plainDirectory === undefined ? undefined : "there is no store in a plain directory"

/** Works in `$1` with names, contents, attributes and targets that begin with `$2`: small, large, appended, mapped. */
const WORK = `
set -e
cd "$1"
m=$2
mkdir "$m-directory"
echo "$m-small" > "$m-small"
yes "$m-large" | head -c 700000 > "$m-directory/$m-large"
for i in 1 2 3 4 5 6 7 8 9; do echo "$m-line-$i" >> "$m-appended"; done
yes "$m-middle" | head -c 20000 | dd of="$m-directory/$m-large" bs=4096 seek=30 conv=notrunc status=none
ln -s "$m-target" "$m-link"
python3 - "$m" <<'END'
import mmap, os, sys
mark = sys.argv[1].encode()
os.setxattr(mark + b"-small", b"user." + mark + b"-attribute", mark + b"-value")
with open(mark + b"-mapped", "wb") as f: f.truncate(50000)
with open(mark + b"-mapped", "r+b") as f:
    m = mmap.mmap(f.fileno(), 0)
    m[20000:20000 + len(mark) + 7] = mark + b"-mapped"
    m.flush()
END
mv "$m-small" "$m-renamed"
cp "$m-directory/$m-large" "$m-copy"
rm "$m-directory/$m-large"
sync "$m-copy" .
`

/** How often `mark` stands in a file. */
function count(path: string, mark: string): number {
  const fd = openSync(path, "r")
  const needle = Buffer.from(mark)
  const block = Buffer.alloc(4 << 20)
  let [found, kept] = [0, 0]
  try {
    for (;;) {
      const got = readSync(fd, block, kept, block.length - kept, null)
      const bytes = block.subarray(0, kept + got)
      for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + 1)) found += 1
      if (got === 0) return found
      kept = Math.min(needle.length - 1, bytes.length)
      bytes.copy(block, 0, bytes.length - kept)
    }
  } finally {
    closeSync(fd)
  }
}

function tracesIn(directory: string, mark: string): number {
  return readdirSync(directory, { recursive: true, encoding: "utf8", withFileTypes: true })
    .filter((each) => each.isFile())
    .reduce((sum, each) => sum + count(join(each.parentPath, each.name), mark), 0)
}

/** The key and everything that the mount's own directory holds, which is where its output goes too. */
function traces(mount: Mount, mark: string): number {
  const output = join(mount.store, "..", "mount.log")
  return tracesIn(mount.store, mark) + (existsSync(output) ? count(output, mark) : 0)
}

async function refusal(mount: Mount, args: readonly string[]): Promise<string> {
  const { code, stderr } = await mount.clawfsAnyway(args)
  return `${code}: ${stderr.split("\n")[0]}`
}

describe("an encrypted tree", () => {
  test("leaves no trace of its names and contents in the store, through kills, cleaning and a remount", async (context) => {
    skipIf(context, noMount, requireFuse())
    await using mount = await mountClawfs({ encrypted: true, index: true })
    const plain = join(mount.mountpoint, "workspaces", "plain")
    await mount.run("mkdir", [plain])
    await mount.run("sh", ["-c", WORK, "work", plain, "PlainMark"])
    for (const round of [1, 2, 3]) {
      const directory = join(mount.work, "round" + String(round))
      await mount.run("mkdir", [directory])
      const working = mount.run("sh", ["-c", WORK, "work", directory, "SecretMark"])
      await sleep(60 * round)
      await mount.killServer()
      await working
      expect(traces(mount, "SecretMark")).toBe(0)
    }
    // The new server answers programs before it answers commands.
    await mount.status()
    await mount.clawfs(["gc", "--now", mount.mountpoint])
    expect(traces(mount, "SecretMark")).toBe(0)
    expect(traces(mount, "PlainMark")).toBeGreaterThan(100)
    await mount.clawfs(["lock", mount.work])
    await mount.unmount()
    expect(traces(mount, "SecretMark")).toBe(0)
    await mount.mountAgain()
    const { stdout } = await mount.run("sh", ["-c", `cat ${mount.work}/round3/SecretMark-renamed`])
    expect(stdout).toBe("SecretMark-small\n")
    expect((await mount.clawfsAnyway(["fsck", mount.mountpoint])).code).toBe(0)
  })

  test("is not in a core dump of the server, and neither is its key", async (context) => {
    skipIf(context, noMount, requireFuse())
    await using mount = await mountClawfs({ encrypted: true })
    await mount.run("sh", ["-c", WORK, "work", mount.work, "SecretMark"])
    const pid = await mount.serverPid()
    const limits = readFileSync(`/proc/${pid}/limits`, "latin1")
    expect(/^Max core file size +0 +0 /m.test(limits)).toBe(true)
    expect(parseInt(readFileSync(`/proc/${pid}/coredump_filter`, "latin1"), 16)).toBe(0)
    process.kill(pid, "SIGABRT")
    await sleep(500)
    await mount.status()
    expect(traces(mount, "SecretMark")).toBe(0)
    const { stdout } = await mount.run("cat", [join(mount.work, "SecretMark-renamed")])
    expect(stdout).toBe("SecretMark-small\n")
  })
})

describe("a locked tree", () => {
  test("gives nothing away that the kernel had, not to open files and mappings either", async (context) => {
    skipIf(context, noMount, requireFuse())
    await using mount = await mountClawfs({ encrypted: true })
    const file = join(mount.work, "file")
    await mount.run("sh", [
      "-c",
      `echo hello > ${file}; mkdir ${mount.work}/d; ls -l ${mount.work}; cat ${file}`,
    ])
    const holder = mount.run("python3", ["-c", HOLDER, file, mount.scratch])
    while (!existsSync(join(mount.scratch, "ready"))) await sleep(20)
    await mount.clawfs(["lock", mount.work])
    writeFileSync(join(mount.scratch, "go"), "")
    const { stdout } = await holder
    expect(stdout).toBe("read 126\nmapped SIGBUS\n")
    for (const command of [
      "ls " + mount.work,
      "cat " + file,
      "stat " + mount.work + "/d",
      "touch " + mount.work + "/new",
    ]) {
      const { code, stderr } = await mount.exec("sh", ["-c", command])
      expect({ command, code: code === 0, stderr: stderr.includes("Required key not available") }).toEqual({
        ...{ command, code: false, stderr: true },
      })
    }
    expect((await mount.run("stat", ["-c", "%F", mount.work])).stdout).toBe("directory\n")
    await mount.killServerAndWait()
    expect((await mount.exec("cat", [file])).stderr).toContain("Required key not available")
    await mount.clawfs(["unlock", "--key-file", mount.keyFile, mount.work])
    expect((await mount.run("cat", [file])).stdout).toBe("hello\n")
  })

  test("has what programs had written before, with the writeback cache too", async (context) => {
    skipIf(context, noMount, requireFuse())
    await using mount = await mountClawfs({ encrypted: true, flags: ["--writeback"] })
    const file = join(mount.work, "file")
    await mount.run("sh", ["-c", `for i in $(seq 1000); do echo line $i; done > ${file}`])
    await mount.clawfs(["lock", mount.work])
    await mount.clawfs(["unlock", "--key-file", mount.keyFile, mount.work])
    expect((await mount.run("tail", ["-n1", file])).stdout).toBe("line 1000\n")
  })
})

describe("keys", () => {
  test("can be added, replaced and removed while files are in use", async (context) => {
    skipIf(context, noMount, requireFuse())
    await using mount = await mountClawfs({ encrypted: true })
    const [passphrase, second] = [join(mount.scratch, "passphrase"), join(mount.scratch, "second")]
    writeFileSync(passphrase, "correct horse battery staple\n", { mode: 0o600 })
    writeFileSync(second, Buffer.alloc(32, "k"), { mode: 0o600 })
    await mount.run("sh", ["-c", `for i in $(seq 300); do echo $i > ${mount.work}/$i; done`])
    const key = ["--key-file", mount.keyFile]
    await mount.clawfs([
      "keys",
      "--add",
      ...key,
      "--new-passphrase-file",
      passphrase,
      "--kdf",
      "pbkdf2",
      mount.work,
    ])
    expect(await refusal(mount, ["rekey", ...key, mount.work])).toMatch(/^65: .* has 2 slots/)
    await mount.clawfs(["keys", "--remove", "1", mount.work])
    await mount.clawfs(["lock", mount.work])
    expect(await refusal(mount, ["unlock", ...key, mount.work])).toMatch(/^77: .*does not open the tree/)
    await mount.clawfs(["unlock", "--passphrase-file", passphrase, mount.work])
    await mount.clawfs(["rekey", "--passphrase-file", passphrase, "--new-key-file", second, mount.work])
    await mount.killServer()
    for (;;) {
      await mount.status()
      const { stdout } = await mount.clawfs(["keys", "--json", mount.work])
      const [tree] = (JSON.parse(stdout) as { trees: { rekeying: boolean; generation: number }[] }).trees
      expect(tree?.generation).toBe(2)
      if (tree?.rekeying === false) break
      await sleep(50)
    }
    await mount.clawfs(["lock", mount.work])
    expect(await refusal(mount, ["unlock", "--passphrase-file", passphrase, mount.work])).toMatch(/^77: /)
    await mount.clawfs(["unlock", "--key-file", second, mount.work])
    expect((await mount.run("cat", [join(mount.work, "300")])).stdout).toBe("300\n")
    writeFileSync(mount.keyFile, readFileSync(second))
  })

  test("are refused in one sentence, with the documented exit status, and nothing is changed", async (context) => {
    skipIf(context, noMount, requireFuse())
    await using mount = await mountClawfs({ encrypted: true })
    const [open, short, full] = ["open", "short", "full"].map((name) => join(mount.scratch, name)) as [
      string,
      string,
      string,
    ]
    writeFileSync(open, Buffer.alloc(32), { mode: 0o644 })
    writeFileSync(short, Buffer.alloc(31), { mode: 0o600 })
    writeFileSync(full, Buffer.alloc(32, 1), { mode: 0o600 })
    const plain = join(mount.mountpoint, "workspaces", "plain")
    await mount.run("mkdir", [plain])
    await mount.run("touch", [join(plain, "file")])
    const cases: [RegExp, string[]][] = [
      [/^73: .* is encrypted already$/, ["encrypt", "--key-file", full, mount.work]],
      [/^73: .*create a new one, encrypt it, move the files in$/, ["encrypt", "--key-file", full, plain]],
      [/^65: .* is not a directory$/, ["encrypt", "--key-file", full, join(plain, "file")]],
      [/^65: .* is not on a ClawFS mount$/, ["encrypt", "--key-file", full, mount.scratch]],
      [/^66: .*there is no directory/, ["encrypt", "--key-file", full, join(plain, "missing")]],
      [/^77: .*others can read or write the key file/, ["encrypt", "--key-file", open, plain]],
      [/^65: .*has 31 bytes, it needs at least 32/, ["encrypt", "--key-file", short, plain]],
      [/^66: .*there is no key file/, ["encrypt", "--key-file", join(mount.scratch, "missing"), plain]],
      [/^64: .*exclude each other/, ["encrypt", "--key-file", full, "--passphrase-fd", "0", plain]],
      [/^64: .*no key derivation/, ["encrypt", "--passphrase-file", full, "--kdf", "rot13", plain]],
      [/^66: .*not the top of an encrypted tree/, ["unlock", "--key-file", full, plain]],
      [/^66: .*not the top of an encrypted tree/, ["lock", plain]],
      [/^77: .*does not open the tree/, ["rekey", "--key-file", full, mount.work]],
      [/^65: .*the last slot/, ["keys", "--remove", "1", mount.work]],
      [/^66: .*there is no slot 7/, ["keys", "--remove", "7", mount.work]],
      [/^64: .*no number of a slot/, ["keys", "--remove", "x", mount.work]],
    ]
    for (const [expected, args] of cases) expect(await refusal(mount, args)).toMatch(expected)
    await mount.clawfs(["lock", mount.work])
    expect(await refusal(mount, ["rekey", "--key-file", mount.keyFile, mount.work])).toMatch(
      /^77: .* is locked$/,
    )
    expect(await refusal(mount, ["unlock", "--key-file", full, mount.work])).toMatch(/^77: /)
    const { stdout } = await mount.clawfs(["keys", "--json", mount.mountpoint])
    expect((JSON.parse(stdout) as { trees: unknown[] }).trees).toMatchObject([
      { locked: true, generation: 1 },
    ])
  })

  test("are given on a descriptor or typed on a terminal, which shows nothing", async (context) => {
    skipIf(context, noMount, requireFuse())
    await using mount = await mountClawfs()
    const directory = join(mount.work, "tree")
    await mount.run("mkdir", [directory])
    const cli = ["--kdf", "pbkdf2", directory]
    const piped = await exec("sh", [
      "-c",
      'echo "typed words" | "$0" "$@"',
      process.execPath,
      CLI,
      "encrypt",
      "--passphrase-fd",
      "0",
      ...cli,
    ])
    expect(piped.code).toBe(0)
    await mount.clawfs(["lock", directory])
    const { code, stdout } = await exec("python3", ["-c", TYPIST, process.execPath, CLI, "unlock", directory])
    expect({ code, stdout }).toEqual({ code: 0, stdout: "passphrase: \r\n" })
    expect((await mount.exec("ls", [directory])).code).toBe(0)
  })
})

/** Holds a file open and mapped, tells so, and tries both again when it is told to. */
const HOLDER = `
import mmap, os, signal, sys, time
fd = os.open(sys.argv[1], os.O_RDONLY)
m = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
assert m[:5] == b"hello"
open(sys.argv[2] + "/ready", "w").close()
while not os.path.exists(sys.argv[2] + "/go"): time.sleep(0.02)
try:
    os.pread(fd, 5, 0)
    print("read it")
except OSError as e: print("read", e.errno)
sys.stdout.flush()
child = os.fork()
if child == 0:
    m[:5]
    os._exit(0)
_, status = os.waitpid(child, 0)
print("mapped", signal.Signals(status & 127).name if status & 127 else "was read")
`

/** A person at a terminal. */
const TYPIST = `
import os, pty, sys
pid, fd = pty.fork()
if pid == 0: os.execv(sys.argv[1], sys.argv[1:])
out = b""
while b"passphrase: " not in out: out += os.read(fd, 100)
os.write(fd, b"typed wordX\\x7fs\\r")
try:
    while True: out += os.read(fd, 100)
except OSError: pass
sys.stdout.write(out.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`
