/** What a migration brings along is used: searched, kept secret, run in a sandbox, remembered by an agent over MCP. */
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { embeddingEndpoint, type EmbeddingEndpoint } from "../helpers/embedding-endpoint.ts"
import { exec, waitUntil } from "../helpers/exec.ts"
import { MASTER_KEY } from "../helpers/ironclaw/crypto.ts"
import {
  DIMENSIONS,
  MODEL,
  NOTES,
  SCRIPT,
  SECRET,
  handMadeDump,
  pointing,
} from "../helpers/ironclaw/hand-made.ts"
import { skipIf } from "../helpers/requirements.ts"
import { requireTools } from "../tools/tools.ts"
import { Place, bin, clawfs, requireMounts, said, type Scene } from "./harness.ts"
import { Session } from "./mcp-session.ts"
import { VaultPlace } from "./vault-place.ts"

const SECONDS = 600
const QUESTION = "which way does the seventh go"

let place: Place
let vault: VaultPlace
let scene: Scene
let endpoint: EmbeddingEndpoint
const reason = requireMounts() ?? requireTools()

beforeEach((context) => skipIf(context, reason))
beforeAll(async () => {
  if (reason !== undefined) return
  place = await Place.make(SECONDS)
  vault = await VaultPlace.make()
  await vault.unlock()
  endpoint = await embeddingEndpoint({ vectorOf })
  scene = place.set()
  const embedder = {
    provider: "http",
    api: "openai",
    url: endpoint.url,
    model: MODEL,
    dimensions: DIMENSIONS,
  }
  mkdirSync(join(scene.store, "index"), { recursive: true, mode: 0o700 })
  writeFileSync(join(scene.store, "index", "config.json"), JSON.stringify({ embedder }), { mode: 0o600 })
  const mounted = await clawfs(["mount", scene.store, scene.mnt])
  expect(said(mounted)).toMatch(/^exit 0/)
  writeFileSync(join(scene.path, "ironclaw.sql"), handMadeDump())
  expect(await migrate("postgres")).toMatch(/^exit 0\n/)
}, 300_000)
afterAll(async () => {
  if (reason !== undefined) return
  await clawfs(["unmount", scene.mnt])
  await endpoint.close()
  await vault[Symbol.asyncDispose]()
  await place[Symbol.asyncDispose]()
})

async function migrate(action: string, ...more: string[]): Promise<string> {
  const words = ["migrate", action, join(scene.path, "ironclaw.sql"), "--mount", scene.mnt, ...more]
  // The engine that dumps are read with takes its time on a busy machine.
  return said(
    await exec(process.execPath, [bin, ...words, "--vault", vault.directory], {
      timeoutSeconds: 200,
      env: { ...process.env, SECRETS_MASTER_KEY: MASTER_KEY },
    }),
  )
}

const inside = (...names: string[]): string => join(scene.mnt, ...names)

async function found(...words: string[]): Promise<string[]> {
  const { stdout } = await clawfs(["search", "--json", ...words, scene.mnt])
  if (stdout === "") return []
  return (JSON.parse(stdout) as { results: { path: string }[] }).results.map(({ path }) => path)
}

test("documents are found by words, and the archive is not in their way", async () => {
  await expect
    .poll(() => found("--", "harvest"), { timeout: 60_000 })
    .toEqual(expect.arrayContaining(["workspaces/alice/MEMORY.md", "workspaces/alice/notes/apples.md"]))
  expect((await found("--", "harvest")).filter((path) => path.startsWith("system/migrations"))).toEqual([])
})

test("a vector whose text and model agree is in the index, and other texts were embedded anew", async () => {
  await expect
    .poll(() => found("-m", "meaning", "--", QUESTION), { timeout: 60_000 })
    .toContain("workspaces/alice/notes/apples.md")
  expect((await found("-m", "meaning", "--", QUESTION))[0]).toBe("workspaces/alice/notes/apples.md")
  const asked = (note: string): boolean => endpoint.texts.some((text) => text.includes(note.trim()))
  expect(await waitUntil(() => asked(NOTES["notes/rivers.md"]), 60_000)).toBe(true)
  expect(asked(NOTES["notes/apples.md"])).toBe(false)
})

test("everything is there, and the vectors rank as pgvector ranks them", async () => {
  expect(await migrate("verify")).toMatch(/^exit 0\n.*2 of 2 rankings equal, nothing is missing$/)
})

test("a program gets a migrated secret", async () => {
  const secret = "alice.weather-key"
  await vault.run(["grant", secret, "--verb", "exec", ...vault.passphrase])
  const script = 'test "$KEY" = "$1" && echo same'
  const words = ["exec", "--env", `KEY=${secret}`, "--", "/bin/sh", "-c", script, "sh", SECRET]
  expect((await vault.run(words)).stdout).toContain("same")
})

test("a migrated script is a tool once it is installed; WebAssembly is kept and is none", async () => {
  const base = inside("tools/imported/dynamic")
  expect(readdirSync(base).sort()).toEqual(["Say_Hello", "Say_Hello.json", "no script", "no script.json"])
  expect(readdirSync(join(base, "no script"))).toEqual(["code"])
  expect(readFileSync(join(base, "Say_Hello", "code"), "utf8")).toBe(SCRIPT)
  expect(existsSync(inside("tools/bin"))).toBe(false)
  const installed = await clawfs(["tool", "install", join(base, "Say_Hello"), "--mount", scene.mnt])
  expect(said(installed)).toMatch(/^exit 0/)
  const ran = await exec(inside("tools/bin/say-hello"), ["there"], { timeoutSeconds: 60 })
  expect(said(ran)).toBe("exit 0\nhello there\nno workspaces")
  const wasm = inside("tools/imported/alice/notes/1.0.0")
  expect(readFileSync(join(wasm, "tool.wasm")).subarray(0, 4).toString("latin1")).toBe("\0asm")
  expect(JSON.parse(readFileSync(join(wasm, "manifest.json"), "utf8"))).toMatchObject({
    found: { enabled: false, blake3: { matches: true } },
  })
})

test("IronClaw's memory tools work on the migrated workspace, with the official client", async () => {
  const memory = inside("workspaces/alice")
  await using session = await Session.open(["--tools", "ironclaw", "--root", scene.mnt, "--memory", memory])
  expect(JSON.parse(await session.call("memory_read", { path: "MEMORY.md" }))).toMatchObject({
    content: NOTES["MEMORY.md"],
  })
  expect(JSON.parse(await session.call("memory_tree", { depth: 2 }))).toEqual(
    expect.arrayContaining(["MEMORY.md", { "notes/": ["apples.md", "rivers.md"] }]),
  )
  const written = { content: "The press is in the barn.", target: "memory" }
  expect(await session.call("memory_write", written)).not.toMatch(/^Error/)
  expect(readFileSync(inside("workspaces/alice/MEMORY.md"), "utf8")).toContain("The press is in the barn.")
  const search = async (): Promise<string> => session.call("memory_search", { query: "cellar apples" })
  await expect.poll(search, { timeout: 60_000 }).toContain("notes/apples.md")
})

/** By the letters of a text, and for one question the vector of the note about apples. */
function vectorOf(text: string): number[] {
  const vector = pointing(text === QUESTION ? 7 : 9)
  for (const letter of text === QUESTION ? "" : text) vector[letter.charCodeAt(0) % DIMENSIONS] = 1
  return vector
}
