/** One look at something risky, in a process of its own: see probe.ts. Prints a `ProbeResult`. */
import { closeSync, openSync, readFileSync, statfsSync } from "node:fs"
import { describe } from "../core/fault.ts"
import type { Probe, ProbeResult } from "./probe.ts"

const LOCK_SH = 1
const LOCK_NB = 4
const EWOULDBLOCK = 11

const [what, path = ""] = process.argv.slice(2)

/**
 * Loaded when asked for: a module that can't be loaded is an answer. Apart from the probes, because TypeScript 5.9 leaves
 * the `.ts` of an `import()` in place in a function that has a `using`.
 */
const load = {
  ffi: () => import("../sys/ffi.ts"),
  libc: () => import("../sys/libc.ts"),
  database: () => import("../store/database.ts"),
  hnsw: () => import("../search/index/hnsw-graph.ts"),
  libzstd: () => import("../sys/libzstd.ts"),
  libsodium: () => import("../sys/libsodium.ts"),
  compile: () => import("../seccomp/compile.ts"),
  extractorList: () => import("../seccomp/extractor-list.ts"),
  sharedMemory: () => import("../sys/shared-memory.ts"),
}

const probes: Readonly<Record<Probe, () => Promise<string>>> = {
  statfs: () => {
    statfsSync(path)
    return Promise.resolve("")
  },
  read: () => Promise.resolve(readFileSync(path, "utf8")),
  lock: async () => {
    const { flock } = await load.libc()
    const { lastErrno } = await load.ffi()
    const fd = openSync(path, "r")
    // Shared, and given back at once with the process: whoever wants it for good is disturbed for a moment only.
    if (flock(fd, LOCK_SH | LOCK_NB) === 0) return "free"
    if (lastErrno() === EWOULDBLOCK) return "held"
    throw new Error(`flock failed (errno ${lastErrno()})`)
  },
  ffi: async () => {
    const { bind } = await load.ffi()
    const pid = bind<[]>("int getpid()")()
    if (pid !== process.pid) throw new Error(`a call of getpid gave ${pid} instead of ${process.pid}`)
    return ""
  },
  sqlite: async () => {
    const { Database } = await load.database()
    using db = new Database(":memory:", { create: true })
    return db.query<[], [string]>("SELECT sqlite_version()").get()?.[0] ?? ""
  },
  hnsw: async () => {
    const { HnswGraph } = await load.hnsw()
    return String(new HnswGraph(128, 16).size)
  },
  zstd: async () => {
    const { hasZstd } = await load.libzstd()
    if (!hasZstd()) throw new Error("there is no libzstd.so.1")
    return ""
  },
  argon2id: async () => {
    const { hasArgon2id } = await load.libsodium()
    if (!hasArgon2id()) throw new Error("there is no libsodium.so.23")
    return ""
  },
  seccomp: async () => {
    const { confine } = await load.compile()
    const { extractorList } = await load.extractorList()
    // This process has only its answer to give.
    confine(extractorList(), { mayGain: false })
    return ""
  },
  memfd: async () => {
    const { createSharedMemory, SharedMapping } = await load.sharedMemory()
    const fd = createSharedMemory("clawfs-doctor", 4096)
    using mapping = new SharedMapping(fd, 0, 4096)
    mapping.words[0] = 1
    closeSync(fd)
    return ""
  },
}

async function answer(): Promise<ProbeResult> {
  try {
    return { ok: true, value: await probes[what as Probe]() }
  } catch (thrown) {
    return { ok: false, code: (thrown as NodeJS.ErrnoException).code ?? "", message: describe(thrown) }
  }
}

process.stdout.write(JSON.stringify(await answer()))
