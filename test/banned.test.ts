/** What must not be in the code, each with the reason beside it and the places that may have it all the same. */
import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import { VERSION } from "../clawfs/core/version.ts"

const repository = join(import.meta.dirname, "..")

interface Ban {
  readonly what: string
  readonly pattern: RegExp
  readonly reason: string
  /** Files that may have it, and why. */
  readonly except?: Readonly<Record<string, string>>
  /** Tests and benchmarks must do without it too. */
  readonly everywhere?: boolean
}

const BANS: readonly Ban[] = [
  {
    what: "process.exit",
    pattern: /\bprocess\.exit\(/,
    reason: "owners are not disposed of and output is cut off; set process.exitCode and return",
    except: {
      "clawfs/server/main.ts": "threads that block on /dev/fuse would keep the process alive",
      "clawfs/server/eio-main.ts": "the end of the program",
    },
  },
  {
    what: "console",
    pattern: /\bconsole\./,
    reason: "results go through the terminal, events through the log",
  },
  {
    what: "Math.random",
    pattern: /\bMath\.random\(/,
    reason: "not for names or keys (node:crypto), and a test with it can't be repeated",
    except: { "clawfs/server/fuse-worker.ts": "the test hook that kills the server now and then" },
  },
  {
    what: "a cipher",
    pattern: /\bcreate(De)?[Cc]ipheriv\(/,
    reason: "encryption has one place, where nonces, tags and what is bound are looked after",
    except: { "keyring/primitives.ts": "that one" },
  },
  { what: "as any", pattern: /\bas any\b|<any>|: any\b/, reason: "the types end there", everywhere: true },
  {
    what: "@ts-ignore",
    pattern: /@ts-(ignore|nocheck|expect-error)/,
    reason: "hides the next error too",
    everywhere: true,
  },
  {
    what: "eslint-disable without a reason",
    pattern: /eslint-disable(?!.* -- \S)/,
    reason: "say why after --",
    everywhere: true,
  },
  {
    what: "execSync",
    pattern: /\bexec(File)?Sync\(/,
    reason: "execSync runs a shell; spawnSync takes arguments apart",
  },
  {
    what: "a shell",
    pattern: /\bshell: *true\b|\{[^}]*\bexec(File)?\b[^}]*\} from "node:child_process"/,
    reason: "a file's name becomes a command",
  },
  {
    what: "TODO",
    pattern: /\b(TODO|FIXME|XXX|HACK)\b/,
    reason: "do it, or describe it in docs",
    everywhere: true,
  },
  {
    what: "koffi",
    pattern: /["']koffi["']/,
    reason: "pointers stay in one file",
    except: { "clawfs/sys/ffi.ts": "that one", "clawfs/cli/doctor/runtime.ts": "shows its name" },
  },
  {
    what: "better-sqlite3",
    pattern: /["']better-sqlite3["']/,
    reason: "SQL handles stay in one file",
    except: { "clawfs/store/database.ts": "that one", "clawfs/cli/doctor/runtime.ts": "shows its name" },
  },
  {
    what: "Buffer.allocUnsafe",
    pattern: /\bBuffer\.allocUnsafe\(/,
    reason:
      "its bytes are of somebody's earlier buffer, and it is a part of a shared one: allocUnsafeSlow is neither",
  },
  {
    what: "an empty catch",
    pattern: /\bcatch\s*(\([^)]*\)\s*)?\{\s*\}/,
    reason: "say in it why nothing is to be done",
  },
  { what: "eval", pattern: /\beval\(|\bnew Function\(/, reason: "data becomes code" },
  {
    what: "require",
    pattern: /\brequire\(|\bcreateRequire\b/,
    reason: "imports are what the layer test sees",
    except: { "clawfs/cli/doctor/runtime.ts": "finds packages that may not load" },
  },
  {
    what: "a default export",
    pattern: /^export default\b/m,
    reason: "a name that every importer chooses anew",
  },
  {
    what: "an enum or namespace",
    pattern: /^\s*(export )?(declare )?(const )?(enum|namespace) \w/m,
    reason: "not erasable: Node can't run it as it is",
    everywhere: true,
  },
]

function filesIn(folders: readonly string[]): string[] {
  return folders
    .flatMap((folder) =>
      readdirSync(join(repository, folder), { recursive: true, encoding: "utf8" }).map((name) =>
        join(folder, name),
      ),
    )
    .filter(
      (path) => path.endsWith(".ts") && !path.includes("node_modules") && path !== "test/banned.test.ts",
    )
    .sort()
}

const product = filesIn(["clawfs", "keyring", "vault", "schema", "migrations"])
const everything = [...product, ...filesIn(["test", "bench"])]
const textOf = (path: string): string => readFileSync(join(repository, path), "utf8")

/** "path:line" of every place that has the pattern and may not. */
function places({ pattern, except = {}, everywhere = false }: Ban): string[] {
  const all = new RegExp(pattern.source, [...new Set(`${pattern.flags}gm`)].join(""))
  return (everywhere ? everything : product)
    .filter((path) => !(path in except))
    .flatMap((path) => {
      const text = textOf(path)
      return [...text.matchAll(all)].map(({ index }) => `${path}:${text.slice(0, index).split("\n").length}`)
    })
}

describe("the code is without", () => {
  test.each(BANS.map((ban) => [ban.what, ban] as const))("%s", (_what, ban) => {
    expect(places(ban), ban.reason).toEqual([])
  })

  test("exceptions that nobody needs any more", () => {
    const stale = BANS.flatMap(({ what, pattern, except = {} }) =>
      Object.keys(except)
        .filter((path) => product.includes(path) && !pattern.test(textOf(path)))
        .map((path) => `${what} in ${path}`),
    )
    expect(stale).toEqual([])
  })
})

describe("the package", () => {
  interface Manifest {
    readonly version: string
    readonly dependencies: Readonly<Record<string, string>>
    readonly devDependencies: Readonly<Record<string, string>>
  }
  const manifest = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as Manifest
  const lock = readFileSync(join(repository, "package-lock.json"), "utf8")

  test("has the version that the program shows", () => {
    expect(manifest.version).toBe(VERSION)
    expect((JSON.parse(lock) as Manifest).version).toBe(VERSION)
  })

  test("names every dependency by its exact version", () => {
    const versions = Object.values({ ...manifest.dependencies, ...manifest.devDependencies })
    expect(versions.filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([])
  })

  test("can be installed from any registry: its lock names no address, but a hash of each package", () => {
    expect(lock).not.toMatch(/"resolved"|https?:\/\/[^"]*\.tgz/)
    const { packages } = JSON.parse(lock) as {
      packages: Record<string, { integrity?: string; link?: boolean }>
    }
    const bare = Object.entries(packages).filter(
      ([name, { integrity }]) => name !== "" && integrity === undefined,
    )
    expect(bare.map(([name]) => name)).toEqual([])
  })
})
