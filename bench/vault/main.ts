/** `make bench-vault`: what the vault's promises of issue 5 cost: use over the socket, rotation, the TPM, first opens. */
import { randomBytes } from "node:crypto"
import { spawn } from "node:child_process"
import { closeSync, existsSync, mkdirSync, openSync, readSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { run, sleep } from "../command.ts"
import { drive, type Options } from "../driver.ts"
import type { Guard } from "../mounts.ts"
import { clawfsCli, productModule } from "../paths.ts"
import { median, quantile, type Row } from "../rows.ts"
import { proxy } from "./proxy.ts"

const usage = `usage: node build/bench/vault/main.js [options]
  --only A,B       of socket, proxy, rotate, tpm, tree, leak
  --secrets N      of the part "rotate" (default 10000)
  --dir DIR        where to work (default /var/tmp)
  --json FILE      where to save (default bench/results/vault-<date>.json)
`

/** Kinds of protectors (keyring/protector.ts). */
const RECOVERY = 3
const KEY_FILE = 4
const WARM_UP = 300
const ROUNDS = 2000
const MOST_VALUE = 65_536
const LEAK_BYTES = 1 << 20
/** What is used of the built product. */
interface Link extends Disposable {
  request(method: string, params: object, fds: readonly number[]): unknown
}
interface Attached extends Disposable {
  readonly fds: number[]
  give(bytes: Uint8Array): number
  take(): { readonly place: number; readonly reading: number }
}
interface Product {
  readonly VaultLink: { connect(directory: string, timeoutSeconds: number): Link | undefined }
  readonly Attachments: new () => Attached
  readTaken(reading: number, most: number): Buffer
  readonly LeakScanner: new () => {
    add(name: string, value: Buffer, room: Buffer): void
    scan(bytes: Buffer): readonly object[]
  }
  readonly MOST_EXPANSION: number
  createVault(directory: string, options: object): void
  readonly VaultDatabase: { open(directory: string): Disposable }
  unlock(db: Disposable, given: object): { readonly keys: Disposable }
  readonly Vault: new (
    db: Disposable,
    keys: Disposable,
  ) => Disposable & {
    put(subject: object, name: string, value: Buffer): number
    rotate(subject: object): void
  }
}

async function load(): Promise<Product> {
  const files = [
    "clawfs/api/vault-link",
    "clawfs/cli/vault/client",
    "vault/create",
    "vault/database",
    "vault/unlock",
    "vault/leaks",
    "vault/encodings",
  ]
  const modules = await Promise.all(
    [...files, "vault/vault"].map((file) => import(productModule(`${file}.js`)) as Promise<object>),
  )
  return Object.assign({}, ...modules) as Product
}

const product = await load()
const subject = { uid: process.getuid?.() ?? 0, pid: process.pid }

function timed(rounds: number, work: (at: number) => void): number[] {
  return Array.from({ length: rounds }, (_, at) => {
    const start = performance.now()
    work(at)
    return performance.now() - start
  })
}

/** A vault's process, and one client that asks it again and again. */
async function* socket(work: string): AsyncGenerator<Row> {
  const [directory, passphrase] = [join(work, "vault"), join(work, "passphrase")]
  writeFileSync(passphrase, "a passphrase of the benchmark\n", { mode: 0o600 })
  const given = ["--passphrase-file", passphrase, "--vault", directory]
  const clawfs = (...args: string[]) => run([process.execPath, clawfsCli, "vault", ...args])
  await clawfs("init", "--no-tpm", "--kdf", "pbkdf2", ...given)
  await clawfs("unlock", ...given)
  try {
    using link = product.VaultLink.connect(directory, 10)
    if (link === undefined) throw new Error("the vault's process does not answer")
    const put = (name: string): void => {
      using attached = new product.Attachments()
      link.request("put", { name, fd: attached.give(Buffer.from("a value")) }, attached.fds)
    }
    put("a-key")
    await clawfs("grant", "a-key", "--verb", "reveal", ...given)
    const get = (): void => {
      using attached = new product.Attachments()
      const { place, reading } = attached.take()
      link.request("get", { name: "a-key", fd: place }, attached.fds)
      product.readTaken(reading, MOST_VALUE)
    }
    timed(WARM_UP, get)
    const times = timed(ROUNDS, get)
    yield { name: "vault.get p50", value: median(times), unit: "ms", atMost: 0.3 }
    yield { name: "vault.get p99", value: quantile(times, 0.99), unit: "ms" }
    const puts = timed(WARM_UP, () => put("b-key"))
    yield { name: "vault.put p50", value: median(puts), unit: "ms", atMost: 5 }
  } finally {
    await clawfs("lock", "--vault", directory)
  }
}

function* rotate(work: string, secrets: number): Generator<Row> {
  const directory = join(work, "rotated")
  const key = { kind: KEY_FILE, secret: randomBytes(32) }
  const recovery = { kind: RECOVERY, secret: randomBytes(32) }
  product.createVault(directory, { people: [key, recovery], idleSeconds: 0, subject })
  using db = product.VaultDatabase.open(directory)
  using vault = new product.Vault(db, product.unlock(db, { person: key }).keys)
  for (let at = 0; at < secrets; at += 1) vault.put(subject, `secret-${at}`, Buffer.from("a value"))
  const [took = NaN] = timed(1, () => vault.rotate(subject))
  yield { name: "vault.rotate root", value: took / 1000, unit: "s", atMost: 2, note: `${secrets} secrets` }
}

async function* tpm(work: string): AsyncGenerator<Row> {
  const state = join(work, "swtpm")
  const socket = join(state, "sock")
  mkdirSync(state)
  const servers = ["--server", `type=unixio,path=${socket}`, "--ctrl", `type=unixio,path=${socket}.ctrl`]
  const child = spawn(
    "swtpm",
    ["socket", "--tpm2", "--tpmstate", `dir=${state}`, ...servers, "--flags", "not-need-init"],
    { stdio: "ignore" },
  )
  try {
    while (!existsSync(socket)) await sleep(10)
    await sleep(200)
    yield* sealed(work, `swtpm:path=${socket}`)
  } finally {
    child.kill()
  }
}

function* sealed(work: string, tcti: string): Generator<Row> {
  const directory = join(work, "sealed")
  const recovery = { kind: RECOVERY, secret: randomBytes(32) }
  const choice = { tcti, pcrs: [7] }
  product.createVault(directory, { people: [recovery], tpm: choice, idleSeconds: 0, subject })
  using db = product.VaultDatabase.open(directory)
  const times = timed(20, () => product.unlock(db, { inKernel: false }).keys[Symbol.dispose]())
  yield { name: "vault.unlock by TPM p50", value: median(times), unit: "ms", atMost: 100, note: "swtpm" }
}

/** The first open of each file of an encrypted tree, after the tree was unlocked. */
async function* tree(work: string, guard: Guard): AsyncGenerator<Row> {
  const [store, mountpoint, key] = [join(work, "store"), join(work, "mount"), join(work, "key")]
  const clawfs = (...args: string[]) => run([process.execPath, clawfsCli, ...args])
  mkdirSync(mountpoint)
  writeFileSync(key, randomBytes(32), { mode: 0o600 })
  await clawfs("init", store)
  await clawfs("mount", "--no-index", store, mountpoint)
  guard.add(() => void run(["umount", "-l", mountpoint]).catch(() => undefined))
  const directory = join(mountpoint, "workspaces", "encrypted")
  mkdirSync(directory)
  await clawfs("encrypt", "--key-file", key, directory)
  const files = Array.from({ length: 500 }, (_, at) => join(directory, `file-${at}`))
  for (const file of files) writeFileSync(file, randomBytes(4096))
  await clawfs("unmount", mountpoint)
  await clawfs("mount", "--no-index", store, mountpoint)
  await clawfs("unlock", "--key-file", key, directory)
  const bytes = Buffer.alloc(4096)
  const times = files.map((file) => {
    const start = performance.now()
    const fd = openSync(file, "r")
    readSync(fd, bytes)
    closeSync(fd)
    return performance.now() - start
  })
  await clawfs("unmount", mountpoint)
  yield {
    name: "tree.first open p50",
    value: median(times),
    unit: "ms",
    atMost: 1,
    note: "4 KiB, open+read+close",
  }
  yield { name: "tree.first open p99", value: quantile(times, 0.99), unit: "ms" }
}

/** The leak filter over text, source code and bytes without any leak, with few and with many secrets. */
function* leak(): Generator<Row> {
  const lines = Array.from(
    { length: 24_000 },
    (_, i) => `line ${i}: module ${randomBytes(6).toString("hex")}\n`,
  )
  const samples = {
    text: Buffer.from(lines.join("")).subarray(0, LEAK_BYTES),
    hex: Buffer.from(randomBytes(LEAK_BYTES / 2).toString("hex")),
    bytes: randomBytes(LEAK_BYTES),
  }
  for (const secrets of [20, 1000]) {
    const scanner = new product.LeakScanner()
    for (let at = 0; at < secrets; at += 1)
      scanner.add(`secret-${at}`, randomBytes(24), Buffer.alloc(24 * product.MOST_EXPANSION))
    for (const [name, bytes] of Object.entries(samples)) {
      timed(10, () => scanner.scan(bytes))
      const milliseconds = median(timed(40, () => scanner.scan(bytes)))
      const value = LEAK_BYTES / 1e6 / (milliseconds / 1000)
      yield { name: `leak.${name}, ${secrets} secrets`, value, unit: "MB/s", atLeast: 100 }
    }
  }
}

async function* measure(
  only: ReadonlySet<string>,
  guard: Guard,
  { work, numbers: { secrets = 0 } }: Options,
): AsyncGenerator<Row> {
  if (only.has("socket")) yield* socket(work)
  if (only.has("proxy")) yield* proxy(work)
  if (only.has("rotate")) yield* rotate(work, secrets)
  if (only.has("tpm")) yield* tpm(work)
  if (only.has("tree")) yield* tree(work, guard)
  if (only.has("leak")) yield* leak()
}

await drive({
  name: "vault",
  usage,
  parts: ["socket", "proxy", "rotate", "tpm", "tree", "leak"],
  numbers: { secrets: 10_000 },
  measure,
})
