/** Callers that mean no good: gone before they are looked at, with other programs than before, with messages of before. */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { Ring, addKey, dropKey, joinSessionKeyring, readKey } from "../../../clawfs/sys/keyctl.ts"
import { acceptOn, connectTo, listenOn, peerOf, receiveMessage } from "../../../clawfs/sys/seqpacket.ts"
import { HeldRoot } from "../../../keyring/held-root.ts"
import { hashOf, subjectOf } from "../../../vault/service/caller.ts"
import { sealedCopy } from "../../../vault/service/program.ts"
import { program } from "../../helpers/programs.ts"
import { AGENT, OWNER, TestMethods } from "../../helpers/vault-methods.ts"
import { skipIf } from "../../helpers/requirements.ts"

const fault = (kind: string): unknown => expect.objectContaining({ kind })
const requireRoot = (): string | undefined => (process.getuid?.() === 0 ? undefined : "not root")

test("who has connected and is gone is not asked about any more: another may have its number", async (context) => {
  const directory = mkdtempSync(join(tmpdir(), "clawfs-hostile-"))
  const listener = listenOn(join(directory, "s"))
  const child = spawn(
    process.execPath,
    [program("test/unit/vault/hostile-child.ts"), "connect", join(directory, "s")],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  )
  try {
    await once(child.stdout, "data")
    const connection = acceptOn(listener) ?? -1
    const peer = peerOf(connection)
    skipIf(context, peer.pidfd === undefined ? "the kernel has no SO_PEERPIDFD" : undefined)
    expect(subjectOf(peer, { inFull: true })).toMatchObject({
      pid: child.pid,
      hash: hashOf(process.execPath),
    })
    child.kill("SIGKILL")
    await once(child, "exit")
    expect(() => subjectOf(peer)).toThrow("the process that asked is gone")
    closeSync(connection)
    if (peer.pidfd !== undefined) closeSync(peer.pidfd)
  } finally {
    closeSync(listener)
    rmSync(directory, { recursive: true })
  }
})

test("a program that is exchanged, overwritten or covered after the look: what was hashed is what runs", () => {
  const directory = mkdtempSync(join(tmpdir(), "clawfs-hostile-"))
  const path = join(directory, "program")
  copyFileSync("/bin/true", path)
  const sealed = sealedCopy(path)
  try {
    expect(sealed.hash).toBe(hashOf("/bin/true"))
    writeFileSync(join(directory, "other"), readFileSync("/bin/false"), { mode: 0o755 })
    renameSync(join(directory, "other"), path)
    const run = (): number | null =>
      spawnSync(`/proc/self/fd/3`, [], { stdio: ["ignore", "ignore", "ignore", sealed.fd] }).status
    expect([run(), spawnSync(path).status]).toEqual([0, 1])
    // Nobody can change it any more, whoever has the descriptor.
    expect(() => writeSync(sealed.fd, "x", 0)).toThrow(/EPERM/)
    // The next look sees what is there then, by whatever name it got there.
    const next = sealedCopy(path)
    expect(next.hash).toBe(hashOf("/bin/false"))
    closeSync(next.fd)
  } finally {
    closeSync(sealed.fd)
    rmSync(directory, { recursive: true })
  }
})

test("a bind mount over the granted program's path is another program", async (context) => {
  skipIf(context, requireRoot())
  const directory = mkdtempSync(join(tmpdir(), "clawfs-hostile-"))
  const path = join(directory, "program")
  copyFileSync("/bin/true", path)
  using vault = new TestMethods()
  vault.put("key", "k".repeat(32))
  vault.grant("key", "exec", { program: hashOf(path) })
  const run = (): Promise<unknown> =>
    vault.call(
      ...[AGENT, "exec" as const],
      {
        ...{ program: path, args: [], environment: [], directory: "/", stdin: 0, stdout: 0, stderr: 0 },
        uses: [{ name: "key", variable: "K", as: "env" }],
      },
      [Buffer.from("")],
    ) as Promise<unknown>
  const covered = spawnSync("mount", ["--bind", "/bin/false", path])
  try {
    skipIf(context, covered.status !== 0 ? "mount --bind is not allowed here" : undefined)
    await expect(run()).rejects.toThrow("no grant allows this")
  } finally {
    if (covered.status === 0) spawnSync("umount", [path])
    rmSync(directory, { recursive: true })
  }
})

test("a message of before is a request like all others: it is counted, and what was revoked stays so", () => {
  using vault = new TestMethods()
  vault.put("key", "k".repeat(32))
  vault.grant("key", "sign", { uses: 1 })
  const again = (): unknown =>
    vault.call(AGENT, "sign", { name: "key", kind: "hmac-sha256", fd: 0 }, [Buffer.from("m")])
  again()
  expect(again).toThrow(fault("denied"))
  const id = vault.grant("key", "sign")
  again()
  vault.call(OWNER, "revoke", { id })
  expect(again).toThrow(fault("denied"))
})

test("the proxy's methods are for the process that the vault has started alone, not for its owner", () => {
  using vault = new TestMethods()
  vault.put("key", "k".repeat(32))
  vault.grant("key", "inject", {
    endpoint: {
      ...{ provider_id: "api", base_url: "https://api.test", place: { header: "authorization" } },
      endpoints: [{ method: "GET", path: "/**" }],
    },
  })
  const wanted = { subject: { uid: 0, pid: 1 }, provider: "api", method: "GET", path: "/a" }
  for (const subject of [OWNER, AGENT, { uid: 0, pid: 0 }]) {
    expect(() => vault.call(subject, "inject.plan", wanted)).toThrow(fault("denied"))
    expect(() => vault.call(subject, "inject.look", {})).toThrow(fault("denied"))
    expect(() =>
      vault.call(subject, "inject", { ...wanted, grant: 1, address: "1.1.1.1", fd: 0 }, [Buffer.from("")]),
    ).toThrow(fault("denied"))
  }
})

test("a process that forbids dumps can't be traced or read by another of its user", async (context) => {
  skipIf(context, requireRoot())
  const nobody = { uid: 65_534, gid: 65_534 }
  const victim = spawn(process.execPath, [program("test/unit/vault/hostile-child.ts"), "hide"], {
    ...{ ...nobody, stdio: ["ignore", "pipe", "inherit"] },
  })
  try {
    expect(String((await once(victim.stdout, "data"))[0])).toBe("ready\n")
    for (const file of ["mem", "environ", "maps", "syscall", "fd/0", "cwd"]) {
      const { status } = spawnSync("cat", [`/proc/${String(victim.pid)}/${file}`], nobody)
      expect(status, file).not.toBe(0)
    }
  } finally {
    victim.kill("SIGKILL")
  }
})

test("a child of the process that has the root key in the kernel finds it in no keyring of its own", (context) => {
  const root = Buffer.alloc(32, 7)
  using held = new HeldRoot(root, { idleSeconds: 60, number: process.pid })
  skipIf(context, held.place === "memory" ? "the kernel offers no keyring" : undefined)
  const name = `clawfs:vault:${process.pid}`
  const ask = () =>
    spawnSync(process.execPath, [program("test/unit/vault/hostile-child.ts"), "key", name], {
      encoding: "utf8",
    }).stdout
  const own = Buffer.alloc(32)
  expect([readKey(name, own, Ring.PROCESS), own.equals(root)]).toEqual([true, true])
  expect(ask()).toBe("found in: \n")
  // It would find one that is in a session's keyring, which children have too.
  joinSessionKeyring()
  addKey(name, root)
  try {
    expect(ask()).toBe("found in: SESSION\n")
  } finally {
    dropKey(name)
  }
})

test("who gives his connection to another process is who asks: that can't be told apart, and SECURITY.md says so", async (context) => {
  const directory = mkdtempSync(join(tmpdir(), "clawfs-hostile-"))
  const listener = listenOn(join(directory, "s"))
  const connection = connectTo(join(directory, "s"), 5) ?? -1
  // The child has the connection that this process has made, and says something through it.
  const child = spawn("/bin/sh", ["-c", "echo hello >&3"], {
    stdio: ["ignore", "ignore", "inherit", connection],
  })
  try {
    await once(child, "exit")
    const accepted = acceptOn(listener) ?? -1
    const peer = peerOf(accepted)
    skipIf(context, peer.pidfd === undefined ? "the kernel has no SO_PEERPIDFD" : undefined)
    expect(receiveMessage(accepted, { wait: true })).toMatchObject({ data: Buffer.from("hello\n") })
    expect([subjectOf(peer).pid, child.pid === process.pid]).toEqual([process.pid, false])
    closeSync(accepted)
    if (peer.pidfd !== undefined) closeSync(peer.pidfd)
  } finally {
    closeSync(connection)
    closeSync(listener)
    rmSync(directory, { recursive: true })
  }
})
