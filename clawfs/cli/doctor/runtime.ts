/** Node.js and the native modules. Each is loaded in a process of its own: one that does not fit ends its process. */
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { probe, type ProbeResult } from "../probe.ts"
import { bad, ok, type Check } from "./check.ts"

const OLDEST_NODE = [20, 19] as const
const REINSTALL = "install it again: npm ci (it is compiled where no prebuilt one fits)"

export async function runtimeChecks(): Promise<Check[]> {
  const [ffi, sqlite, memfd] = await Promise.all([probe("ffi"), probe("sqlite"), probe("memfd")])
  const [hnsw, zstd] = await Promise.all([probe("hnsw"), probe("zstd")])
  const [argon2id, seccomp] = await Promise.all([probe("argon2id"), probe("seccomp")])
  return [
    nodeCheck(process.versions.node),
    moduleCheck("koffi", ffi, () => "calls the C library"),
    moduleCheck("better-sqlite3", sqlite, (version) => `runs SQLite ${version}`),
    memfdCheck(memfd),
    optional("hnsw", hnsw, {
      works: "usearch finds neighbours among many vectors",
      lacks:
        "usearch does not work: search by meaning goes through all vectors, which is slow above some 16,000 chunks",
      hint: REINSTALL,
    }),
    optional("zstd", zstd, {
      works: "libzstd compresses directories and the texts of the index",
      lacks: "directories can't be compressed, and compressed files can't be read",
      hint: "apt-get install libzstd1",
    }),
    optional("argon2id", argon2id, {
      works: "libsodium derives keys from passphrases (argon2id)",
      lacks:
        "passphrases are protected by PBKDF2, and trees whose passphrase used argon2id can't be unlocked",
      hint: "apt-get install libsodium23",
    }),
    optional("seccomp", seccomp, {
      works: "libseccomp puts programs under lists of allowed system calls",
      lacks: "by default no tool runs, and ClawFS's own programs have no list of allowed system calls",
      hint: "apt-get install libseccomp2; the kernel needs CONFIG_SECCOMP_FILTER",
    }),
  ]
}

export function nodeCheck(version: string): Check {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  const [neededMajor, neededMinor] = OLDEST_NODE
  if (major > neededMajor || (major === neededMajor && minor >= neededMinor))
    return ok("node", `Node.js ${version} is new enough`, { version })
  return bad("fail", "node", {
    message: `Node.js ${version} is too old: ClawFS needs ${OLDEST_NODE.join(".")} or newer`,
    hint: "install a newer one: https://nodejs.org",
    facts: { version },
  })
}

function moduleCheck(name: string, result: ProbeResult, does: (value: string) => string): Check {
  const version = packageVersion(name)
  if (version === undefined) {
    const message = `the module ${name} is not installed`
    return bad("fail", name, { message, hint: "install it: npm ci" })
  }
  if (result.ok) return ok(name, `${name} ${version} ${does(result.value)}`, { version })
  const message = `${name} ${version} does not work: ${result.message}`
  return bad("fail", name, { message, hint: REINSTALL, facts: { version } })
}

/** From its package.json, for loading it may be what fails. */
function packageVersion(name: string): string | undefined {
  try {
    const entry = createRequire(import.meta.url).resolve(name)
    for (let at = dirname(entry); at !== "/"; at = dirname(at)) {
      const found = readPackage(at)
      if (found?.name === name) return found.version
    }
  } catch {
    // Not found: that is the answer.
  }
  return undefined
}

function readPackage(directory: string): { name?: string; version?: string } | undefined {
  try {
    return JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as {
      name?: string
      version?: string
    }
  } catch {
    return undefined
  }
}

/** What ClawFS can do without, at a price. */
function optional(
  id: string,
  result: ProbeResult,
  { works, lacks, hint }: { works: string; lacks: string; hint: string },
): Check {
  if (result.ok) return ok(id, works)
  return bad("warn", id, { message: `${lacks} (${result.message})`, hint })
}

function memfdCheck(result: ProbeResult): Check {
  if (result.ok) return ok("memfd", "memory can outlive a server (memfd_create)")
  return bad("fail", "memfd", {
    message: `memory that outlives a server can't be made: ${result.message}`,
    hint: "allow the system call memfd_create in this sandbox",
  })
}
