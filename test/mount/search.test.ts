/** Search on a real mount: what was written is found, what is gone is not, whoever is killed meanwhile. */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { dumpIndex } from "../../clawfs/search/index/dump.ts"
import { IndexReader } from "../../clawfs/search/index/reader.ts"
import { IndexWriter } from "../../clawfs/search/index/writer.ts"
import type { SearchResponse } from "../../schema/search-api.ts"
import { sleep, waitUntil } from "../helpers/exec.ts"
import { mountClawfs } from "../helpers/mount.ts"
import { processesNaming } from "../helpers/mountinfo.ts"
import { Session } from "../cli/mcp-session.ts"
import { repository } from "../helpers/programs.ts"
import { cli, plainDirectory, requireFuse, skipIf } from "../helpers/requirements.ts"
import { own, search, settled, status, write } from "../helpers/searching.ts"

const noMount = plainDirectory === undefined ? undefined : "there is no store in a plain directory"

const pathsOf = ({ results }: SearchResponse): string[] => results.map(({ path }) => path)

describe("clawfs search", () => {
  test("finds what was just written, and nothing that is gone or was moved away", async (context) => {
    skipIf(context, noMount, requireFuse())
    await using mount = await mountClawfs({ index: true })
    await write(
      mount,
      "notes/supplier.md",
      "# Choice\n\nWe picked the second supplier because of the delivery time.\n",
    )
    await write(mount, "notes/other.md", "# Garden\n\nTomatoes want water in the evening.\n")
    const found = await search(mount, "second supplier", "--fresh")
    expect(found.isFresh).toBe(true)
    expect(found.results[0]).toMatchObject({
      path: own(mount, "notes/supplier.md"),
      firstLine: 1,
      title: "Choice",
    })
    await mount.run("mv", [join(mount.work, "notes"), join(mount.work, "archive")])
    expect(pathsOf(await search(mount, '"second supplier"', "--fresh"))).toEqual([
      own(mount, "archive/supplier.md"),
    ])
    await mount.run("rm", [join(mount.work, "archive/supplier.md")])
    // Without waiting: what is gone is not shown, whatever the index says.
    expect(pathsOf(await search(mount, '"second supplier"'))).toEqual([])
    const nothing = await mount.clawfsAnyway(["search", "-m", "words", "nowherewordatall", mount.mountpoint])
    expect([nothing.code, nothing.stdout]).toEqual([1, ""])
  })

  test("follows attributes and rule files, and leaves encrypted trees out", async (context) => {
    skipIf(context, noMount, requireFuse())
    await using mount = await mountClawfs({ index: true, encrypted: true })
    const plain = join(mount.mountpoint, "workspaces", "plain")
    const sh = (script: string): Promise<unknown> => mount.run("sh", ["-c", script], { cwd: "/" })
    await sh(
      `mkdir -p ${plain}/a ${plain}/b; for d in ${plain}/a ${plain}/b ${mount.work}; do echo markword > $d/f.txt; done`,
    )
    const at = (name: string): string => `workspaces/plain/${name}`
    expect(pathsOf(await search(mount, "markword", "--fresh", "-m", "words")).sort()).toEqual([
      at("a/f.txt"),
      at("b/f.txt"),
    ])
    await sh(`setfattr -n user.clawfs.index -v off ${plain}/a; echo "f.*" > ${plain}/b/.clawfsignore`)
    expect(pathsOf(await search(mount, "markword", "--fresh", "-m", "words"))).toEqual([])
    await sh(`setfattr -x user.clawfs.index ${plain}/a; rm ${plain}/b/.clawfsignore`)
    expect(pathsOf(await search(mount, "markword", "--fresh", "-m", "words")).sort()).toEqual([
      at("a/f.txt"),
      at("b/f.txt"),
    ])
  })

  test("refuses with one sentence what means nothing", async (context) => {
    skipIf(context, noMount, requireFuse())
    await using mount = await mountClawfs({ index: true })
    await write(mount, "a.txt", "some words")
    await settled(mount)
    const says = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await mount.clawfsAnyway(["search", ...args, mount.mountpoint])
      return `${code}: ${stdout}${stderr.split("\n")[0]}`
    }
    expect(await says("")).toMatch(/^64: clawfs: search: QUERY is empty/)
    expect(await says("...")).toMatch(/^65: clawfs: the query has no words/)
    expect(await says("unknown:filter")).toMatch(/^65: clawfs: there is no filter/)
    expect(await says("--mode", "best", "x")).toMatch(/^64: clawfs: search: --mode takes/)
    expect(await says("--limit", "0", "x")).toMatch(/^64: clawfs: search: --limit takes/)
    expect(await says("x".repeat(100_000))).toMatch(/^65: clawfs: the query has 100000 bytes/)
    expect(await says(`"*) OR NEAR(( ^`)).toMatch(/^\d+: clawfs: \D/)
  })
})

describe("a directory of .search", () => {
  test("shows links to what is found, to each user what he may read", async (context) => {
    skipIf(
      context,
      noMount,
      requireFuse(),
      process.getuid?.() === 0 ? undefined : "only root can be several users",
    )
    await using mount = await mountClawfs({ index: true })
    await write(mount, "open/a.md", "the quarterly budget of the garden")
    await write(mount, "closed/b.md", "the secret budget of the garden")
    await mount.run("chmod", ["0700", join(mount.work, "closed")])
    for (const path of [join(mount.mountpoint, "workspaces"), join(mount.mountpoint, "..")])
      await mount.run("chmod", ["0755", path])
    await settled(mount)
    const list = async (...user: string[]): Promise<string[]> => {
      const directory = join(mount.mountpoint, ".search", "garden budget")
      const { stdout } = await mount.run("setpriv", [
        ...user,
        "sh",
        "-c",
        'cd "$1" && cat *',
        "sh",
        directory,
      ])
      return stdout.match(/quarterly|secret/g)?.sort() ?? []
    }
    const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"]
    expect(await list("--reuid=0")).toEqual(["quarterly", "secret"])
    expect(await list(...nobody)).toEqual(["quarterly"])
    expect(await list("--reuid=0")).toEqual(["quarterly", "secret"])
    const inside = join(mount.work, "closed", ".search", "budget")
    expect((await mount.exec("setpriv", [...nobody, "ls", inside])).code).toBe(2)
    // The daemon's socket is not for this user, the command all the same.
    const command = [process.execPath, cli, "search", "--paths", "garden budget", mount.mountpoint]
    expect((await mount.run("setpriv", [...nobody, ...command])).stdout).toBe(
      `${join(mount.work, "open", "a.md")}\n`,
    )
    const limited = await mount.exec("setpriv", [...nobody, ...command, "--limit", "3"])
    expect(limited.stderr).toContain("a search with --limit must be asked through the daemon's socket")
    expect(limited.code).toBe(77)
    const own = await mount.run("sh", [
      "-c",
      'ls "$1"; readlink "$1"/*; getfattr -h -m - "$1"/*',
      "sh",
      inside,
    ])
    expect(own.stdout).toMatch(/^1-b\.md\n\.\.\/\.\.\/b\.md\n[^]*security\.clawfs\.score/)
    const { stdout } = await mount.run("ls", ["-a", mount.work])
    expect(stdout.split("\n").filter(Boolean)).toEqual([".", "..", "closed", "open"])
  })
})

/** Files come, change, move and go for a while. */
const LOAD = `
i=0
while [ ! -e "$2" ]; do
  i=$((i + 1))
  d="$1/d$((i % 7))"
  mkdir -p "$d"
  echo "# Note $i

word$i common$((i % 13)) text that is written for the $i. time" > "$d/f$((i % 50)).md"
  [ $((i % 5)) = 0 ] && mv "$d/f$((i % 50)).md" "$1/moved$((i % 11)).txt"
  [ $((i % 17)) = 0 ] && rm -f "$1/moved$((i % 11)).txt"
  [ $((i % 23)) = 0 ] && { rm -rf "$1/tree"; mv "$d" "$1/tree"; }
  [ $((i % 9)) = 0 ] && echo "appended $i" >> "$1/log.txt"
done
echo $i
`

test("after 25 kills of indexer and server the index is that of a rebuild, row by row", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ index: true })
  const stop = join(mount.scratch, "stop")
  const working = mount.run("sh", ["-c", LOAD, "load", mount.work, stop], { timeoutSeconds: 120 })
  for (let kills = 0; kills < 25; kills += 1) {
    await sleep(200 + 37 * kills)
    if (kills % 4 === 3) await mount.killServerAndWait()
    else {
      const { indexerPid } = await status(mount).catch(() => ({ indexerPid: null }))
      if (indexerPid !== null) process.kill(indexerPid, "SIGKILL")
    }
  }
  writeFileSync(stop, "")
  await working
  await settled(mount)
  const lines = (): string[] => {
    using reader = new IndexReader(join(mount.store, "index"))
    // Vectors are those of what the embedder has learned so far.
    return [...dumpIndex(reader)].filter((line) => !line.startsWith("vector"))
  }
  const followed = lines()
  await mount.clawfs(["index", "rebuild", mount.mountpoint])
  await sleep(1000)
  await settled(mount)
  expect(followed).toEqual(lines())
  expect(followed.length).toBeGreaterThan(50)
  expect(readFileSync(join(mount.store, "clawfs.log"), "utf8")).toContain("a process of the server died")
})

/** Starts a program as the server starts its processes, and is killed after a while. */
const PARENT = `
const [program, config, ms] = process.argv.slice(1)
require("child_process").fork(program, [config], { stdio: ["ignore", "ignore", "ignore", "ipc"] })
setTimeout(() => process.kill(process.pid, "SIGKILL"), Number(ms))
`

test("indexer and searcher end with their parent, whenever it dies", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs()
  await mount.unmount()
  const config = JSON.stringify({ store: mount.store, logLevel: "info" })
  const search = join(repository, "dist", "clawfs", "search")
  for (let ms = 0; ms < 600; ms += 50)
    for (const program of ["indexer/indexer-main.js", "service/searcher-main.js"])
      await mount.exec("node", ["-e", PARENT, join(search, program), config, String(ms)])
  const left = (): unknown[] => processesNaming(mount.store)
  await waitUntil(() => left().length === 0, 30_000)
  expect(left()).toEqual([])
})

/** Files of every kind that a tree may hold; `$1` is where. */
const KINDS = `
set -e
cd "$1"
mkdir tree; echo "kindword in a tree" > tree/inner.txt; mv tree moved
echo "kindword linked" > one.txt; ln one.txt two.txt
echo "kindword truncated away" > cut.txt; truncate -s 0 cut.txt
: > empty.txt
truncate -s 1G sparse.bin
(printf 'kindword at the start of a hundred megabytes\\n'; yes 'filler filler filler' | head -c 100000000) > large.log
for i in 1 2 3 4 5 6 7 8 9; do echo "kindword line $i" >> log.txt; done
echo "kindword of nobody else" > closed.txt; chmod 000 closed.txt
python3 - <<'END'
import mmap, os
with open(b"name-\\xff-not-utf8.txt", "w") as f: f.write("kindword under a strange name\\n")
with open("mapped.txt", "wb") as f: f.write(b"." * 5000 + b"\\n")
with open("mapped.txt", "r+b") as f:
    m = mmap.mmap(f.fileno(), 0)
    m[100:120] = b" kindword was mapped "[:20]
    m.flush()
END
mkfifo pipe
ln -s one.txt symbolic.txt
`

test("files of every kind are indexed by what they hold, or not at all, and none stops the others", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ index: true })
  await mount.run("sh", ["-c", KINDS, "kinds", mount.work], { timeoutSeconds: 120 })
  await settled(mount)
  const answer = await search(mount, "kindword", "-m", "words", "-n", "100", "--fresh")
  const names = answer.results.map(({ path, rawPath }) =>
    (rawPath === undefined ? path : Buffer.from(rawPath, "base64").toString("latin1"))
      .slice(own(mount, "").length + 1)
      .replace(/^two\.txt$/, "one.txt"),
  )
  expect(names.sort()).toEqual(
    [
      ...["closed.txt", "large.log", "log.txt", "mapped.txt", "moved/inner.txt"],
      ...["name-\xff-not-utf8.txt", "one.txt"],
    ].sort(),
  )
  const { stdout } = await mount.clawfsAnyway(["index", "explain", "--json", join(mount.work, "sparse.bin")])
  expect(JSON.parse(stdout)).toMatchObject({ state: "skipped", chunks: 0 })
  const verified = await mount.clawfs(["index", "verify", mount.mountpoint])
  expect(verified.stdout).toBe("the index is whole\n")
})

test("a file that could not be read in time is read again by the next indexer", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ index: true })
  await write(mount, "slow.md", "pelicans over the harbour\n")
  await settled(mount)
  await mount.unmount()
  {
    using writer = new IndexWriter(join(mount.store, "index"))
    writer.db.execute("UPDATE document SET state = 'failed', error = 'timed-out: a test', hash = x''")
  }
  await mount.mountAgain()
  const file = join(mount.work, "slow.md")
  const explained = async (): Promise<boolean> =>
    (await mount.clawfsAnyway(["index", "explain", file])).stdout.includes("indexed")
  expect(await waitUntil(explained, 20_000)).toBe(true)
})

test("--grep prints what grep -rn prints", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ index: true })
  await mount.run("cp", ["-r", join(repository, "clawfs", "store"), join(repository, "docs"), mount.work])
  await search(mount, "synchronous", "--fresh", "-m", "words")
  for (const [pattern, ...flags] of [
    ["synchronous"],
    ["[a-z]+Fault\\("],
    ["CLAWFS", "-i"],
    ["a.c(", "-F"],
    ["nowhere to be found"],
  ]) {
    const ours = await mount.clawfsAnyway(["search", "--grep", ...flags, "--", pattern ?? "", mount.work])
    const kind = flags.includes("-F") ? "-F" : "-E"
    const others = flags.filter((flag) => flag !== "-F")
    const theirs = await mount.exec("grep", ["-rn", kind, ...others, "--", pattern ?? "", mount.work])
    const lines = (text: string): string[] => text.split("\n").sort()
    expect(lines(ours.stdout)).toEqual(lines(theirs.stdout))
    expect(ours.code).toBe(theirs.code)
  }
})

test("the MCP server's search finds what the daemon finds", async (context) => {
  skipIf(context, noMount, requireFuse())
  await using mount = await mountClawfs({ index: true })
  await write(mount, "plan.md", "# Plan\n\nThe bridge is to be painted in May.\n")
  await settled(mount)
  await using session = await Session.open(["--root", mount.work])
  expect(await session.call("search", { query: "paint the bridge" })).toContain("plan.md")
})
