/** What is made once and kept in build/bench-cache: compiled programs, the repository to clone, npm's cache. */
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { run } from "./command.ts"
import { cached, source } from "./paths.ts"

const isNewer = (file: string, than: string): boolean =>
  existsSync(file) && statSync(file).mtimeMs > statSync(than).mtimeMs

export async function buildClient(): Promise<string> {
  const client = cached("client")
  if (isNewer(client, source("client.c"))) return client
  mkdirSync(cached(), { recursive: true })
  await run(["cc", "-O2", "-Wall", "-o", client, source("client.c")])
  return client
}

/** libfuse's own example, as Debian's libfuse3-dev ships it (compressed or not). */
export async function buildPassthrough(): Promise<string> {
  const program = cached("passthrough_ll")
  if (existsSync(program)) return program
  const examples = "/usr/share/doc/libfuse3-dev/examples"
  const packed = join(examples, "passthrough_ll.c.gz")
  const code = cached("passthrough_ll.c")
  mkdirSync(cached(), { recursive: true })
  if (existsSync(packed)) writeFileSync(code, gunzipSync(readFileSync(packed)))
  else copyFileSync(join(examples, "passthrough_ll.c"), code)
  const flags = (await run(["pkg-config", "--cflags", "--libs", "fuse3"])).stdout.trim().split(/\s+/)
  await run(["cc", "-O2", "-I", examples, "-o", program, code, ...flags])
  return program
}

export const gitEnv = {
  ...process.env,
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_SYSTEM: "/dev/null",
  GIT_CONFIG_COUNT: "1",
  GIT_CONFIG_KEY_0: "safe.directory",
  GIT_CONFIG_VALUE_0: "*",
}

/** xorshift32: the same repository on every machine. */
function randomNumbers(): (below: number) => number {
  let state = 0x2545f491
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

const words =
  `return const import function the of value error store read write path node length type string number
  index export if else for while await async match result buffer offset inode entry kernel reply request`.split(
    /\s+/,
  )

/** Sizes as in a source tree: most files a few KiB, one in fifty some ten times that. */
function sourceText(random: (below: number) => number): string {
  const size = 200 + random(6_000) + (random(50) === 0 ? random(80_000) : 0)
  let text = ""
  while (text.length < size) {
    text += `${words[random(words.length)] ?? ""}${random(12) === 0 ? `${random(100_000)}\n` : " "}`
  }
  return text
}

/** A packed repository with one commit of `files` files in directories of 20, three levels deep. */
export async function generateRepository(files: number): Promise<string> {
  const path = cached(`repository-${files}`)
  if (existsSync(path)) return path
  const draft = `${path}.${process.pid}`
  const random = randomNumbers()
  for (let i = 0; i < files; i++) {
    const dir = join(
      draft,
      `src${Math.floor(i / 500)}`,
      `module${Math.floor(i / 100) % 5}`,
      `part${Math.floor(i / 20) % 5}`,
    )
    if (i % 20 === 0) mkdirSync(dir, { recursive: true })
    writeFileSync(join(dir, `file${i}.ts`), sourceText(random))
  }
  const git = (...args: string[]): Promise<unknown> =>
    run(["git", "-C", draft, "-c", "user.name=bench", "-c", "user.email=bench@localhost", ...args], {
      env: gitEnv,
    })
  await git("init", "-q", "-b", "main")
  await git("add", "-A")
  await git("commit", "-q", "-m", "generated")
  await git("gc", "-q")
  renameSync(draft, path)
  return path
}

export const npmFlags = (cache: string): string[] => [
  ...[
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-update-notifier",
    "--loglevel=error",
    "--logs-max=0",
  ],
  ...["--cache", cache],
]

export function copyNpmProject(dir: string): void {
  mkdirSync(dir, { recursive: true })
  for (const name of ["package.json", "package-lock.json"]) copyFileSync(source("npm", name), join(dir, name))
}

/** Downloads what bench/npm locks, once; after that nothing asks the registry. */
export async function fillNpmCache(): Promise<string> {
  const cache = cached("npm")
  const done = join(cache, "complete")
  if (isNewer(done, source("npm", "package-lock.json"))) return cache
  const project = cached("npm-project")
  rmSync(cache, { recursive: true, force: true })
  copyNpmProject(project)
  await run(["npm", "ci", ...npmFlags(cache)], { cwd: project, timeoutMs: 300_000 })
  rmSync(project, { recursive: true, force: true })
  writeFileSync(done, "")
  return cache
}

/** The peers from npm: installed once into bench/peers, from its lock file. */
export async function installPeers(): Promise<void> {
  const modules = source("peers", "node_modules", ".package-lock.json")
  if (isNewer(modules, source("peers", "package-lock.json"))) return
  // fuse-native brings an N-API prebuild and agentfs-sdk a binary package: no install script is needed.
  // Not "npm ci": it refuses a lock file without the database binaries of other platforms.
  await run(
    [
      "npm",
      "install",
      "--no-save",
      "--prefix",
      source("peers"),
      "--ignore-scripts",
      "--no-audit",
      "--no-fund",
    ],
    {
      cwd: source("peers"),
      timeoutMs: 300_000,
    },
  )
}
