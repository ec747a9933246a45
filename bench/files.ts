/**
 * A worker: COUNT files of 4 KiB, 100 to a directory, one operation outstanding, the same loop for a directory and
 * for the AgentFS SDK. Usage: node files.js KIND PATH COUNT [PACKAGE_JSON], KIND being "dir", "agentfs" or
 * "agentfs-nosync". Prints operations per second as JSON. A directory is measured twice: through node:fs/promises,
 * which like the SDK is asynchronous, and through the synchronous node:fs (sync.*), because a round through Node's
 * thread pool costs more than most of these operations.
 */
import * as fs from "node:fs"
import * as promises from "node:fs/promises"
import { createRequire } from "node:module"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

interface Files {
  mkdir(path: string): unknown
  rmdir(path: string): unknown
  writeFile(path: string, content: Buffer): unknown
  readFile(path: string): Promise<Buffer> | Buffer
  stat(path: string): unknown
  rename(from: string, to: string): unknown
  unlink(path: string): unknown
}

interface Agent {
  readonly fs: Files
  getDatabase(): { exec(sql: string): Promise<unknown> }
  close(): Promise<void>
}

interface AgentFsModule {
  AgentFS: { open(options: { path: string }): Promise<Agent> }
}

const synchronous: Files = {
  mkdir: fs.mkdirSync,
  rmdir: fs.rmdirSync,
  writeFile: fs.writeFileSync,
  readFile: (path) => fs.readFileSync(path),
  stat: (path) => fs.statSync(path),
  rename: fs.renameSync,
  unlink: fs.unlinkSync,
}

const [kind, path = "", countText = "", packageJson = ""] = process.argv.slice(2)
const count = Number(countText)
const content = Buffer.alloc(4096, "clawfs ")
const inOrder = Array.from({ length: count }, (_, i) => i)
/** A stride that shares no factor with the count visits every file once, far from its neighbour in time of creation. */
const scattered = inOrder.map((i) => (i * 7919) % count)

async function openAgent(): Promise<Agent> {
  const file = createRequire(packageJson).resolve("agentfs-sdk")
  const sdk = (await import(pathToFileURL(file).href)) as AgentFsModule
  const agent = await sdk.AgentFS.open({ path })
  if (kind === "agentfs-nosync") await agent.getDatabase().exec("PRAGMA synchronous = OFF")
  return agent
}

async function measure(files: Files, base: string, prefix: string): Promise<[string, number][]> {
  const directories = Array.from({ length: Math.ceil(count / 100) }, (_, i) => `${base}/d${i}`)
  const name = (letter: string, i: number): string =>
    `${directories[Math.floor(i / 100)] ?? ""}/${letter}${i % 100}`
  const read = async (i: number): Promise<void> => {
    const bytes = await files.readFile(name("f", i))
    if (bytes.length !== content.length) throw new Error(`short read of ${name("f", i)}`)
  }
  let total = 0
  const rate = async (operation: (i: number) => unknown, order = scattered): Promise<number> => {
    const start = process.hrtime.bigint()
    for (const i of order) await operation(i)
    const nanoseconds = Number(process.hrtime.bigint() - start)
    total += nanoseconds
    return (count * 1e9) / nanoseconds
  }

  for (const dir of directories) await files.mkdir(dir)
  const rates = {
    create: await rate((i) => files.writeFile(name("f", i), content), inOrder),
    read: await rate(read),
    stat: await rate((i) => files.stat(name("f", i))),
    rename: await rate((i) => files.rename(name("f", i), name("g", i))),
    delete: await rate((i) => files.unlink(name("g", i))),
  }
  for (const dir of directories) await files.rmdir(dir)
  return Object.entries({ ...rates, total: (count * 1e9) / total }).map(([row, value]) => [
    prefix + row,
    value,
  ])
}

async function measureDirectory(): Promise<[string, number][]> {
  const results: [string, number][] = []
  for (const [files, prefix] of [[promises, ""] as const, [synchronous, "sync."] as const]) {
    const base = join(path, `files${prefix}`)
    fs.mkdirSync(base)
    results.push(...(await measure(files, base, prefix)))
  }
  return results
}

async function measureAgent(): Promise<[string, number][]> {
  const agent = await openAgent()
  const results = await measure(agent.fs, "", "")
  await agent.close()
  // It has no synchronous calls: what it can do stands in both rows.
  return [...results, ...results.map(([row, value]): [string, number] => [`sync.${row}`, value])]
}

const results = kind === "dir" ? await measureDirectory() : await measureAgent()
console.log(JSON.stringify(Object.fromEntries(results)))
