/** Who may import whom, as a table (docs/ARCHITECTURE.md): lower layers know nothing of the higher ones. */
import { readFileSync, readdirSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import ts from "typescript"
import { expect, test } from "vitest"
import { repository } from "./helpers/programs.ts"

/** Folder (or single file) → the folders that its files may import besides their own. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  "clawfs/core": [],
  schema: [],
  migrations: [],
  "clawfs/sys": ["clawfs/core"],
  keyring: ["clawfs/core", "clawfs/sys"],
  "clawfs/fuse": ["clawfs/core", "clawfs/sys"],
  "clawfs/store": ["clawfs/core", "clawfs/sys", "keyring", "schema", "migrations"],
  vault: ["clawfs/core", "clawfs/sys", "clawfs/store", "keyring", "schema", "migrations"],
  "clawfs/manifest": ["clawfs/core", "schema"],
  "clawfs/api": ["clawfs/core", "clawfs/sys", "schema"],
  "vault/mount": ["clawfs/core", "clawfs/sys", "clawfs/fuse", "vault"],
  "vault/service/caller.ts": ["clawfs/core", "clawfs/sys", "vault"],
  "vault/proxy": ["clawfs/core", "clawfs/sys", "keyring", "schema", "vault", "vault/service/caller.ts"],
  "vault/service": [
    ...["clawfs/core", "clawfs/sys", "clawfs/fuse", "clawfs/manifest", "keyring", "schema"],
    ...["vault", "vault/mount", "vault/proxy", "vault/service/caller.ts"],
  ],
  "clawfs/search/document.ts": [],
  "clawfs/seccomp": ["clawfs/core", "clawfs/sys", "schema"],
  "clawfs/search/extract": ["clawfs/core", "clawfs/sys", "clawfs/seccomp", "clawfs/search/document.ts"],
  "clawfs/search/chunk": ["clawfs/core", "clawfs/search/document.ts", "clawfs/search/extract"],
  "clawfs/fsck": ["clawfs/core", "clawfs/sys", "clawfs/store", "keyring", "schema"],
  "clawfs/search": [
    ...["clawfs/core", "clawfs/sys", "clawfs/store", "clawfs/api", "schema", "clawfs/search/document.ts"],
  ],
  "clawfs/backup": ["clawfs/core", "clawfs/sys", "clawfs/store", "clawfs/fsck", "schema"],
  "clawfs/salvage": ["clawfs/core", "clawfs/sys", "clawfs/store", "clawfs/fsck", "clawfs/backup", "schema"],
  "clawfs/search/feed": ["clawfs/core", "clawfs/store"],
  "clawfs/search/indexer": [
    ...["clawfs/core", "clawfs/sys", "clawfs/store", "schema", "clawfs/search", "clawfs/search/document.ts"],
    ...["clawfs/search/extract", "clawfs/search/chunk", "clawfs/search/feed"],
  ],
  "clawfs/search/service": [
    ...["clawfs/core", "clawfs/sys", "clawfs/store", "schema", "clawfs/search", "clawfs/search/indexer"],
  ],
  "clawfs/fs": ["clawfs/core", "clawfs/sys", "clawfs/fuse", "clawfs/store"],
  "clawfs/mcp": ["clawfs/core", "clawfs/sys", "clawfs/api", "schema"],
  "clawfs/identity": ["clawfs/core", "clawfs/sys", "schema"],
  "clawfs/migrate": ["clawfs/core", "clawfs/sys", "clawfs/identity", "keyring", "schema"],
  "clawfs/tools": ["clawfs/core", "clawfs/sys", "schema"],
  "clawfs/archive": ["clawfs/core", "clawfs/sys", "schema"],
  "clawfs/monitor": ["clawfs/core", "clawfs/sys", "schema"],
  "clawfs/runner": [
    ...["clawfs/core", "clawfs/sys", "clawfs/manifest", "clawfs/api", "clawfs/tools", "clawfs/monitor"],
    ...["clawfs/seccomp", "schema"],
  ],
  "clawfs/server": [
    ...["clawfs/core", "clawfs/sys", "clawfs/fuse", "clawfs/store", "clawfs/fs", "clawfs/fsck", "clawfs/api"],
    ...["clawfs/search", "clawfs/search/indexer", "clawfs/search/service", "clawfs/tools", "clawfs/runner"],
    ...["clawfs/monitor", "keyring", "schema"],
  ],
  "clawfs/supervisor": [
    ...["clawfs/core", "clawfs/sys", "clawfs/fuse", "clawfs/store", "clawfs/server", "clawfs/seccomp"],
    ...["keyring", "schema"],
  ],
  "clawfs/cli": [
    ...[
      "clawfs/core",
      "clawfs/sys",
      "clawfs/fuse",
      "clawfs/store",
      "clawfs/fs",
      "clawfs/fsck",
      "clawfs/backup",
      "clawfs/salvage",
      "clawfs/api",
      "clawfs/search",
      "clawfs/search/extract",
      "clawfs/server",
      "clawfs/manifest",
    ],
    ...["clawfs/supervisor", "clawfs/mcp", "clawfs/migrate", "clawfs/tools", "clawfs/runner"],
    ...["clawfs/identity", "clawfs/archive", "clawfs/seccomp"],
    ...["keyring", "vault", "vault/service", "vault/service/caller.ts", "schema", "migrations"],
  ],
}

/** Package → the files or folders that may import it. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  koffi: ["clawfs/sys/ffi.ts"],
  "better-sqlite3": ["clawfs/store/database.ts"],
  // scripts/bundle.mjs makes one file of it and all of zod: who imports zod by itself loads its ninety modules.
  zod: ["schema/zod.ts"],
  unpdf: ["clawfs/search/extract/pdf.ts"],
  fflate: ["clawfs/search/extract/zip.ts"],
  ignore: ["clawfs/search/extract/ignore-rules.ts"],
  pg: ["clawfs/migrate/postgres/server.ts"],
  "@electric-sql/pglite": ["clawfs/migrate/dump/engine.ts"],
  "@electric-sql/pglite-pgvector": ["clawfs/migrate/dump/engine.ts"],
  "@noble/hashes/blake3.js": ["clawfs/migrate/v1/tools.ts"],
  usearch: ["clawfs/search/index/hnsw-graph.ts"],
  "sqlite-vec": ["clawfs/search/index/vector-distance.ts"],
  "@modelcontextprotocol/sdk/server/mcp.js": ["clawfs/mcp/server.ts"],
  "@modelcontextprotocol/sdk/server/stdio.js": ["clawfs/mcp/server.ts"],
  "@modelcontextprotocol/sdk/types.js": ["clawfs/mcp/server.ts"],
}

interface Import {
  readonly from: string
  /** A path in the repository, or a package's name. */
  readonly to: string
  readonly isPackage: boolean
  /** Loaded when it is needed: `await import("…")`. */
  readonly isLate: boolean
}

const sources = ["clawfs", "keyring", "vault", "schema", "migrations"]
  .flatMap((folder) =>
    readdirSync(join(repository, folder), { recursive: true, encoding: "utf8" }).map((name) =>
      join(folder, name),
    ),
  )
  .filter((path) => path.endsWith(".ts"))
  .sort()

function importsOf(from: string): Import[] {
  const text = readFileSync(join(repository, from), "utf8")
  const early = new Set<string>()
  for (const statement of ts.createSourceFile(from, text, ts.ScriptTarget.ESNext).statements) {
    const isImport = ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement)
    const specifier = isImport ? statement.moduleSpecifier : undefined
    if (specifier !== undefined && ts.isStringLiteral(specifier)) early.add(specifier.text)
  }
  return ts.preProcessFile(text).importedFiles.flatMap(({ fileName }) => {
    if (fileName.startsWith("node:")) return []
    const isPackage = !fileName.startsWith(".")
    const to = isPackage ? fileName : relative(repository, join(repository, dirname(from), fileName))
    return { from, to, isPackage, isLate: !early.has(fileName) }
  })
}

const imports = sources.flatMap(importsOf)

const isIn = (path: string, places: readonly string[]): boolean =>
  places.some((place) => path === place || path.startsWith(`${place}/`))

/** The layer that a file belongs to. */
function layerOf(path: string): string {
  const within = Object.keys(LAYERS).filter((name) => path === name || path.startsWith(`${name}/`))
  // The innermost one.
  return within.sort((a, b) => b.length - a.length)[0] ?? `no layer for ${path}`
}

test("every file belongs to a layer", () => {
  expect(sources.filter((path) => layerOf(path).startsWith("no layer"))).toEqual([])
  expect(sources.length).toBeGreaterThan(50)
})

test("a layer imports itself and those below it, nothing else", () => {
  const wrong = imports.filter(({ from, to, isPackage }) => {
    const [own, other] = [layerOf(from), layerOf(to)]
    return !isPackage && own !== other && LAYERS[own]?.includes(other) !== true
  })
  expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([])
})

test("the layers themselves have an order: no two know each other, by any way round", () => {
  const rows = Object.keys(LAYERS)
  for (const [layer, below] of Object.entries(LAYERS))
    for (const other of below)
      expect(rows.indexOf(other), `${layer} imports ${other}`).toBeLessThan(rows.indexOf(layer))
})

test("each package is imported where it belongs", () => {
  const wrong = imports.filter(({ from, to, isPackage }) => isPackage && !isIn(from, PACKAGES[to] ?? []))
  expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([])
})

test("every import names a file that is there, as .ts", () => {
  const missing = imports.filter(({ to, isPackage }) => !isPackage && !sources.includes(to))
  expect(missing.map(({ from, to }) => `${from} imports ${to}`)).toEqual([])
})

test("no file imports itself by any way round, types included", () => {
  const early = imports.filter(({ isLate }) => !isLate)
  const graph = new Map(
    sources.map((path) => [path, early.filter(({ from }) => from === path).map(({ to }) => to)]),
  )
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path)
    if (start >= 0) cycles.push([...trail.slice(start), path].join(" → "))
    if (start >= 0 || done.has(path)) return
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path])
    done.add(path)
  }
  for (const path of sources) visit(path, [])
  expect(cycles).toEqual([])
})
