/** Requests about encrypted trees share transactions as others do: what the journal has of them is sealed. */
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test, vi } from "vitest"
import { E } from "../../../clawfs/core/errno.ts"
import { Fault } from "../../../clawfs/core/fault.ts"
import { Opcode } from "../../../clawfs/fuse/abi.ts"
import type { Store } from "../../../clawfs/store/store.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { encrypt, rekey, unlock, type Secret } from "../support/encryption.ts"
import { words, z } from "../support/requests.ts"
import { KILLED, TestServer } from "../support/server.ts"
import { ROOT, Session } from "../support/session.ts"

const O = Opcode
/** A server whose root is an encrypted tree, and the kernel's keyring: what is in `kept` outlives a kill. */
class Encrypted implements Disposable {
  readonly server: TestServer
  readonly session: Session
  secret: Secret
  kept = true

  constructor(killsAt?: () => boolean) {
    const adopt = (store: Store): void => this.#adopt(store)
    this.server = new TestServer(killsAt === undefined ? { adopt } : { adopt, killsAt })
    this.session = new Session(this.server)
    this.secret = encrypt(this.server.store, ROOT)
    this.keep()
  }

  #adopt(store: Store): void {
    if (!this.kept || store.keys.ids().length === 0) return
    unlock(store, this.secret)
    store.sealing.setKept(this.secret.id, true)
  }

  keep(): void {
    this.server.store.sealing.setKept(this.secret.id, true)
  }

  journal(): Buffer {
    return readFileSync(join(this.server.directory, "journal"))
  }

  [Symbol.dispose](): void {
    this.server[Symbol.dispose]()
  }
}

function faultOf(run: () => void): Fault {
  try {
    run()
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown
    throw thrown
  }
  throw new Error("it did not fail")
}

const MARK = "SecretMark"

/** Everything that a request can say: a name, contents, an attribute and its value, a target. */
function work(session: Session): { directory: number; file: number } {
  const directory = session.mkdir(`${MARK}-directory`)
  const file = session.entry(O.MKNOD, directory, [words(0o100644, 0, 0, 0), z(`${MARK}-file`)])
  expect(session.write(file, 0, Buffer.from(`${MARK}-contents`))).toBe(0)
  const attribute = [words(5, 0, 0, 0), z(`user.${MARK}`), Buffer.from(MARK.slice(0, 5))]
  expect(session.status(O.SETXATTR, file, attribute)).toBe(0)
  expect(session.entry(O.SYMLINK, ROOT, [z(`${MARK}-link`), z(`${MARK}-target`)])).toBeGreaterThan(0)
  return { directory, file }
}

const REQUESTS_OF_WORK = 5

describe("requests about an encrypted tree", () => {
  test("share a transaction, and are there after a kill", () => {
    using encrypted = new Encrypted()
    const { server, session } = encrypted
    const { file } = work(session)
    server.restart()
    expect(server.replayed).toBe(REQUESTS_OF_WORK)
    expect(session.names()).toEqual([`${MARK}-directory`, `${MARK}-link`])
    expect(session.read(file).toString()).toBe(`${MARK}-contents`)
    server.restart()
    expect(server.replayed).toBe(0)
    expect(brokenInvariants(server.directory)).toEqual([])
  })

  test("leave nothing of what they say in the journal", () => {
    using encrypted = new Encrypted()
    work(encrypted.session)
    expect(encrypted.journal().includes(MARK)).toBe(false)
    expect(encrypted.journal().includes(MARK.slice(0, 5))).toBe(false)
  })

  test("put the names of a directory where they were when they are done again", () => {
    using encrypted = new Encrypted()
    const { server, session } = encrypted
    const directory = session.mkdir("d")
    for (let i = 0; i < 20; i += 1)
      session.entry(O.MKNOD, directory, [words(0o100644, 0, 0, 0), z(`file-${i}`)])
    const listing = (): string => {
      const answer = server.send(session.make(O.READDIR, directory, [words(0n, 0n, 100_000, 0, 0n, 0, 0)]))
      return answer === KILLED || answer === undefined ? "" : answer.payload.toString("hex")
    }
    const before = listing()
    expect(before.length).toBeGreaterThan(1000)
    server.restart()
    expect(server.replayed).toBe(21)
    expect(listing()).toBe(before)
  })

  test("survive one that fails in the middle, with their keys", () => {
    using encrypted = new Encrypted()
    const { server, session } = encrypted
    const { file } = work(session)
    vi.spyOn(server.store.dentries, "insert").mockImplementationOnce(() => {
      throw new Fault("io", "for once")
    })
    expect(session.mkdir("b")).toBe(-E.EIO)
    expect(session.mkdir("c")).toBeGreaterThan(0)
    expect(session.read(file).toString()).toBe(`${MARK}-contents`)
    server.restart()
    expect(server.replayed).toBe(REQUESTS_OF_WORK + 1)
    expect(session.names()).toEqual([`${MARK}-directory`, `${MARK}-link`, "c"])
    expect(brokenInvariants(server.directory)).toEqual([])
  })

  test("wait for their key, and nothing is done before it is there", () => {
    using encrypted = new Encrypted()
    const { server, session } = encrypted
    work(session)
    server.kill()
    encrypted.kept = false
    const journal = encrypted.journal()
    const fault = faultOf(() => server.start())
    expect([fault.kind, fault.hint]).toEqual([
      "locked",
      expect.stringContaining("clawfs mount with --key-file"),
    ])
    expect(encrypted.journal().equals(journal)).toBe(true)
    encrypted.kept = true
    server.start()
    expect(server.replayed).toBe(REQUESTS_OF_WORK)
    expect(session.names()).toEqual([`${MARK}-directory`, `${MARK}-link`])
  })

  test("are committed one by one where the key would not outlive the server", () => {
    using encrypted = new Encrypted()
    const { server, session } = encrypted
    server.store.commit()
    server.store.sealing.setKept(encrypted.secret.id, false)
    work(session)
    server.kill()
    encrypted.kept = false
    server.start()
    expect(server.replayed).toBe(0)
    encrypted.kept = true
    server.restart()
    expect(session.names()).toEqual([`${MARK}-directory`, `${MARK}-link`])
  })

  test("are in the journal before and after a re-key", () => {
    using encrypted = new Encrypted()
    const { server, session } = encrypted
    session.mkdir("before")
    encrypted.secret = rekey(server.store, encrypted.secret)
    encrypted.keep()
    session.mkdir("after")
    server.restart()
    expect(server.replayed).toBe(1)
    expect(session.names()).toEqual(["after", "before"])
  })

  test("are refused when a sealed entry was moved or changed", () => {
    using encrypted = new Encrypted()
    const { server, session } = encrypted
    session.mkdir("a")
    session.mkdir("b")
    const path = join(server.directory, "journal")
    server.kill()
    const whole = encrypted.journal()
    const length = whole.readUInt32LE(4096) & 0x7fff_ffff
    const entry = 32 + ((length + 7) & -8) + 16
    const copy = Buffer.from(whole)
    whole.copy(copy, 4096 + 32, 4096 + entry + 32, 4096 + entry + 32 + length)
    writeFileSync(path, copy)
    expect(faultOf(() => server.start()).kind).toBe("corrupt")
    writeFileSync(path, whole)
    server.start()
    expect(session.names()).toEqual(["a", "b"])
  })

  test("are gone with the machine's power, as others are", () => {
    using encrypted = new Encrypted()
    const { server, session } = encrypted
    work(session)
    server.kill()
    rmSync(join(server.directory, "journal"))
    encrypted.kept = false
    server.start(true)
    expect(server.replayed).toBe(0)
    encrypted.kept = true
    server.restart()
    expect(session.names()).toEqual([])
  })
})
