/**
 * What root finds of values, passphrases and keys after each thing that can be done with a vault: nothing, in the memory of its
 * processes (pages in swap come back by being read), in its files and log, in any process's environment or arguments.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  writeFileSync,
  writeSync,
} from "node:fs"
import { join } from "node:path"
import { beforeEach, expect, test } from "vitest"
import { VaultLink } from "../../clawfs/api/vault-link.ts"
import { Attachments, readTaken } from "../../clawfs/cli/vault/client.ts"
import { Database } from "../../clawfs/store/database.ts"
import { memfdCreate } from "../../clawfs/sys/libc.ts"
import { exec } from "../helpers/exec.ts"
import { requireFuse, requirePrograms, skipIf } from "../helpers/requirements.ts"
import { VAULT_PARAMS, type VaultMethod } from "../../schema/vault-api.ts"
import { scanMemory } from "../helpers/residue.ts"
import { Upstream, testCertificate } from "../helpers/upstream.ts"
import { requireBuild } from "./harness.ts"
import { PASSPHRASE, VaultPlace } from "./vault-place.ts"

const requireRoot = (): string | undefined => (process.getuid?.() === 0 ? undefined : "not root")
beforeEach((context) =>
  skipIf(context, requireBuild(), requireRoot(), requireFuse(), requirePrograms("openssl", "curl")),
)

/** No two of these have a part in common that could be taken for another one. */
const VALUES = {
  put: "put-7d1f0a9c3e5b2468",
  env: "env-1b8e6f4a2c0d9753",
  json: "json-5c3a7e9f1d2b8640",
  bundle: "bundle-9e7c5a3f1b0d2486",
  next: "next-3f9b7d5e1c0a8642",
  rotated: "rotated-6a4c2e0f8d1b3975",
}

/** Which part of the test does each of what the socket offers: one that is new has to be added. */
const COVERED: Readonly<Record<VaultMethod, string>> = {
  ...{
    status: "place.pid",
    lock: "the end",
    put: "the test",
    describe: "the test",
    get: "the test",
    list: "the test",
  },
  ...{ history: "the test", rm: "the test", destroy: "the test", rotate: "the test", grant: "the test" },
  ...{ grants: "the test", revoke: "the test", export: "the test", import: "the test", exec: "the test" },
  ...{
    "import.values": "import --from",
    scan: "scan",
    generate: "keygen",
    sign: "sign-with",
    audit: "the test",
  },
  ...{
    "audit.verify": "the test",
    "audit.export": "useRest",
    "audit.prune": "useRest",
    "manifest.sign": "useRest",
  },
  ...{ "protector.list": "useRest", "protector.add": "useRest", "protector.remove": "useRest" },
  ...{
    "public-key": "useRest",
    "tree.new": "useRest",
    "tree.key": "useRest",
    mount: "useMount",
    unmount: "useMount",
  },
  ...{
    "proxy.start": "useProxy",
    "proxy.stop": "the end",
    "proxy.token": "the end",
    "inject.look": "useProxy",
  },
  ...{
    "inject.plan": "useProxy",
    inject: "useProxy",
    "inject.decoys": "useProxy",
    "inject.tried": "useProxy",
  },
  ...{ "inject.leak": "useProxy", "tool.exec": "test/mount/tool-secrets.test.ts" },
  "protector.add-tpm": "test/unit/vault/residue.test.ts, where keys are looked for",
}
/** Good for nothing, so that the proxy may have it. */
const DECOY = "decoy-2e8d6b4f0c9a7153"
const NEW_PASSPHRASE = "a passphrase that was added, and taken away"
const BUNDLE_PASSPHRASE = "another passphrase, of the bundle"

/** Asks the vault's process in other ways than the commands do. */
function asked<T>(place: VaultPlace, work: (link: VaultLink) => T): T {
  using link = VaultLink.connect(place.directory, 60)
  if (link === undefined) throw new Error("the vault does not answer")
  return work(link)
}

function scan(place: VaultPlace, text: string, more: object): void {
  const [from, out] = [memfdCreate("from", 1), memfdCreate("out", 1)]
  try {
    writeSync(from, text)
    asked(place, (link) => link.request("scan", { from: 0, out: 1, ...more }, [from, out]))
  } finally {
    closeSync(from)
    closeSync(out)
  }
}

/** Its mount, read and written. */
async function useMount(place: VaultPlace): Promise<void> {
  const directory = join(place.base, "mnt")
  await exec("mkdir", [directory])
  expect((await place.run(["mount", directory])).code).toBe(0)
  const written = await exec("sh", ["-c", `printf %s ${VALUES.next} > ${directory}/secrets/from-env`])
  expect(written.code).toBe(0)
  expect((await exec("cat", [join(directory, "secrets", "from-env")])).stdout).toBe(VALUES.next)
  expect((await place.run(["unmount"])).code).toBe(0)
}

async function useProxy(place: VaultPlace, upstream: Upstream): Promise<number> {
  const endpoint = join(place.base, "endpoint.json")
  const tls = { ca: testCertificate().cert }
  const to = { base_url: `https://127.0.0.1:${upstream.port}/v1`, addresses: ["127.0.0.0/8"], tls }
  const rules = { endpoints: [{ method: "GET", path: "/x" }], place: { header: "X-Key" } }
  writeFileSync(endpoint, JSON.stringify({ provider_id: "api", ...to, ...rules }))
  const grant = ["grant", "a", "--verb", "inject", "--endpoint", endpoint, ...place.passphrase]
  expect((await place.run(grant)).code).toBe(0)
  expect((await place.run(["proxy", "start"])).code).toBe(0)
  const socket = join(place.directory, "proxy.sock")
  const ask = async (...more: string[]): Promise<string> =>
    (await exec("curl", ["-s", "--unix-socket", socket, ...more, "http://vault/api/x"])).stdout
  expect(await ask()).toBe("ok")
  expect(upstream.requests[0]?.headers["x-key"]).toBe(VALUES.put)
  // An answer with the value in it, and a decoy in a request: nobody who asks as this user has grants after that.
  upstream.answer = ({ headers }, response) => response.end(`you said ${String(headers["x-key"])}`)
  expect(await ask()).toBe("you said [secret api]")
  expect((await place.run(["put", "decoy", "--canary"], { input: DECOY })).code).toBe(0)
  expect(await ask("-H", `x-other: ${DECOY}`)).toContain("no grant allows this")
  expect((await place.run(["grants"])).stdout).toContain("asked for this canary")
  const pid = readdirSync("/proc").find((each) => {
    const file = `/proc/${each}/cmdline`
    return (
      /^\d+$/.test(each) && existsSync(file) && readFileSync(file, "latin1").includes("vault/proxy/main.js")
    )
  })
  return Number(pid)
}

const bytesOf = (needle: string | Buffer): Buffer =>
  typeof needle === "string" ? Buffer.from(needle) : needle

/** What else there is; returns what must not be found: recovery words, and the secret of an encrypted tree. */
async function useRest(place: VaultPlace, ok: (args: readonly string[], input?: string) => Promise<string>) {
  await ok(["rotate", "a"], VALUES.rotated)
  const [added, specs] = [join(place.base, "new-passphrase"), join(place.base, "specs")]
  writeFileSync(added, `${NEW_PASSPHRASE}\n`, { mode: 0o600 })
  const kdf = ["--kdf", "pbkdf2", ...place.passphrase]
  await ok(["protector", "add", "--new-passphrase-file", added, ...kdf])
  const words = await place.run(["protector", "add", "recovery", ...place.passphrase])
  expect(words.code).toBe(0)
  const protectors = JSON.parse(await ok(["protector", "list", "--json"])) as { number: number }[]
  await ok(["protector", "remove", String((protectors.at(-2) ?? { number: 0 }).number), ...place.passphrase])
  mkdirSync(specs)
  writeFileSync(join(specs, "P1.1-a.md"), "# a\n")
  await ok(["sign", "specs", specs, ...place.passphrase])
  for (const args of [["export"], ["prune", "--keep", "90d", ...place.passphrase]])
    await ok(["audit", ...args])
  asked(place, (link) => link.request("public-key", { name: "deploy" }))
  const name = `tree-${"0123456789abcdef".repeat(2)}`
  const [tree] = ["tree.new", "tree.key"].map((method) =>
    asked(place, (link) => {
      using attached = new Attachments()
      const { place: fd, reading } = attached.take()
      const more = method === "tree.new" ? { description: "of the test" } : {}
      link.request(method, { name, fd, ...more }, attached.fds)
      return readTaken(reading, 64)
    }),
  )
  expect(tree).toHaveLength(32)
  const [line = ""] = /^(?:[a-z]{5} ){16}[a-z]{5}$/m.exec(`${words.stdout}\n${words.stderr}`) ?? []
  expect(line).not.toBe("")
  return { tree: tree ?? Buffer.alloc(0), words: line.slice(0, 40) }
}

test("nothing is left by any of its operations", async () => {
  expect(Object.keys(COVERED).sort()).toEqual(Object.keys(VAULT_PARAMS).sort())
  await using upstream = await Upstream.start()
  await using place = await VaultPlace.make()
  await using other = await VaultPlace.make()
  await Promise.all([place.unlock(), other.unlock()])
  const ok = async (args: readonly string[], input?: string, at = place): Promise<string> => {
    const { code, stdout, stderr } = await at.run(args, input === undefined ? {} : { input })
    expect([args.join(" "), code, stderr]).toEqual([args.join(" "), 0, expect.anything()])
    return stdout
  }
  await ok(["put", "a", "--tags", "x"], VALUES.put)
  await ok(["grant", "a", "--verb", "reveal", "--uses", "3", ...place.passphrase])
  for (const [format, text] of [
    ["env", `FROM_ENV=${VALUES.env}\n`],
    ["json", JSON.stringify({ "from-json": VALUES.json })],
  ] as const) {
    await ok(["import", "--from", format, "--preview", "-"], text)
    await ok(["import", "--from", format, "-"], text)
  }
  await ok(["grant", "from-env", "--verb", "reveal", ...place.passphrase])
  // What is looked through has values in it, raw and encoded.
  const hex = Buffer.from(VALUES.env).toString("hex")
  const leaking = `a ${VALUES.put} and ${hex}, ${VALUES.json}`
  for (const action of ["redact", "block", "alert"]) scan(place, leaking, { channel: "mcp", action })
  const written = { from: 0, to: leaking.length, ino: 1, uid: 0, pid: 1 }
  scan(place, leaking, { channel: "file", action: "block", written })
  await ok(["get", "a"])
  const leaked = await place.run(["exec", "--env", "K=a", "--", "sh", "-c", "echo $K"])
  expect(leaked.code).toBe(77)
  await ok(["grant", "a", "--verb", "exec", ...place.passphrase])
  expect(await ok(["exec", "--env", "K=a", "--", "sh", "-c", "echo $K"])).toBe("[secret a]\n")
  await ok(["grant", "a", "--verb", "sign", "--as", "hmac-sha256", ...place.passphrase])
  await ok(["sign-with", "a", "--as", "hmac-sha256"], "a message")
  await ok(["keygen", "deploy"])
  // Out of another vault by a bundle, and back in.
  const secret = join(place.base, "bundle-passphrase")
  writeFileSync(secret, `${BUNDLE_PASSPHRASE}\n`, { mode: 0o600 })
  const file = join(place.base, "bundle")
  await ok(["put", "in-bundle"], VALUES.bundle, other)
  const bundled = ["--bundle-pass-file", secret]
  await ok(["export", ...other.passphrase, ...bundled, file], undefined, other)
  await ok(["import", ...bundled, file])
  await useMount(place)
  const proxy = await useProxy(place, upstream)
  await ok(["describe", "a", "--description", "of the test"])
  await ok(["put", "a"], "another value")
  await ok(["destroy", "a", "--version", "1"])
  await ok(["rm", "from-json"])
  await ok(["destroy", "from-json"])
  for (const args of [["list"], ["history", "a"], ["grants"], ["audit"], ["audit", "verify"]]) await ok(args)
  await ok(["rotate", "--root"])
  const rest = await useRest(place, ok)
  await ok(["revoke", "1"])

  const pids = [await place.pid(), await other.pid()]
  const needles = { ...VALUES, PASSPHRASE, NEW_PASSPHRASE, BUNDLE_PASSPHRASE, hex, ...rest }
  for (const [what, needle] of Object.entries(needles)) {
    for (const pid of pids) expect([what, scanMemory(pid, bytesOf(needle)).places]).toEqual([what, []])
    for (const path of [place, other].flatMap(filesOf))
      expect(readFileSync(path).includes(needle), `${what} in ${path}`).toBe(false)
    expect(readFileSync(file).includes(needle)).toBe(false)
  }
  for (const pid of readdirSync("/proc").filter((each) => /^\d+$/.test(each)))
    for (const what of ["environ", "cmdline"]) {
      const bytes = readable(`/proc/${pid}/${what}`)
      for (const needle of Object.values(needles))
        expect(bytes.includes(needle), `${what} of ${pid}`).toBe(false)
    }
  // The proxy's own part is its heap until that is collected (docs/VAULT.md): of what it never had, it has nothing.
  expect(scanMemory(proxy, Buffer.from(VALUES.env)).places).toEqual([])
  // A core dump would have it all: there is none of either process.
  for (const pid of [...pids, proxy])
    expect(readFileSync(`/proc/${pid}/limits`, "utf8")).toMatch(/^Max core file size +0 +0 /m)
  // The scanner finds what is there.
  expect(scanMemory(pids[0] ?? 0, Buffer.from(place.directory)).places.length).toBeGreaterThan(0)
  expect(readFileSync("/proc/self/environ").includes("PATH=")).toBe(true)

  // Taken as it is, which makes a new root key with the passphrase.
  await ok(["proxy", "token"])
  await ok(["proxy", "stop"])
  await ok(["lock"])
  {
    using db = new Database(join(place.directory, "vault.db"))
    db.execute('DELETE FROM "grant"')
  }
  await ok(["adopt", ...place.passphrase])
  const adopted = await place.pid()
  expect(scanMemory(adopted, Buffer.from(PASSPHRASE)).places).toEqual([])
  expect(scanMemory(adopted, Buffer.from(place.directory)).places.length).toBeGreaterThan(0)
})

/** Of the vault, without its sockets. */
function filesOf({ directory }: VaultPlace): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => join(directory, name))
}

/** Nothing of a process that has ended meanwhile. */
function readable(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch {
    return Buffer.alloc(0)
  }
}
