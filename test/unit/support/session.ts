/** Requests to a test server by name, for tests that tell a story. */
import { Opcode } from "../../../clawfs/fuse/abi.ts"
import { request, unpack, words, z, type Head } from "./requests.ts"
import { KILLED, type TestServer } from "./server.ts"

const O = Opcode
export const ROOT = 1

/** One program after the other asks; every request has a number of its own. */
export class Session {
  readonly server: TestServer
  #unique = 2n

  constructor(server: TestServer) {
    this.server = server
  }

  make(opcode: number, node: number, bodies: readonly Uint8Array[], head: Head = {}): Buffer {
    this.#unique += 2n
    return request(opcode, bodies, { unique: this.#unique, node, ...head })
  }

  /** The node of an entry reply, or a negative errno. */
  entry(opcode: number, node: number, bodies: readonly Uint8Array[], head: Head = {}): number {
    return nodeOf(this.server.send(this.make(opcode, node, bodies, head)))
  }

  /** 0 or a negative errno. */
  status(opcode: number, node: number, bodies: readonly Uint8Array[], head: Head = {}): number {
    return errorOf(this.server.send(this.make(opcode, node, bodies, head)))
  }

  init(): void {
    const all = 0xffff_ffff
    const status = this.status(O.INIT, 0, [words(7, 45, 4096, all, all), Buffer.alloc(44)])
    if (status !== 0) throw new Error(`INIT failed: ${status}`)
  }

  mkdir(name: string): number {
    return this.entry(O.MKDIR, ROOT, [words(0o755, 0), z(name)])
  }

  mknod(name: string, mode = 0o100644): number {
    return this.entry(O.MKNOD, ROOT, [words(mode, 0, 0, 0), z(name)])
  }

  tmpfile(): Buffer {
    return this.make(O.TMPFILE, ROOT, [words(0o20200002, 0o600, 0, 0), z("unused")])
  }

  write(node: number, offset: number, data: Buffer, head: Head = {}, flags = 0): number {
    return this.status(O.WRITE, node, [words(0n, BigInt(offset), data.length, flags, 0n, 0, 0), data], head)
  }

  read(node: number, size = 200_000): Buffer {
    const answer = this.server.send(this.make(O.READ, node, [words(0n, 0n, size, 0, 0n, 0, 0)]))
    if (answer === KILLED || answer?.error !== 0) throw new Error("the read failed")
    return answer.payload
  }

  forget(...nodes: number[]): void {
    const pairs = nodes.map((node) => words(BigInt(node), 1n))
    this.server.send(this.make(O.BATCH_FORGET, ROOT, [words(nodes.length, 0), ...pairs]))
  }

  names(): string[] {
    const answer = this.server.send(this.make(O.READDIR, ROOT, [words(0n, 0n, 100_000, 0, 0n, 0, 0)]))
    if (answer === KILLED || answer === undefined) throw new Error("no answer")
    return unpack(answer.payload, false)
      .map(({ name }) => name)
      .slice(2)
      .sort()
  }
}

type Sent = ReturnType<TestServer["send"]>

/** The node of an entry reply, or a negative errno. */
export function nodeOf(answer: Sent): number {
  if (answer === KILLED || answer === undefined) throw new Error("no answer")
  return answer.error === 0 ? Number(answer.payload.readBigUInt64LE(0)) : answer.error
}

/** 0 or a negative errno. */
export function errorOf(answer: Sent): number {
  if (answer === KILLED || answer === undefined) throw new Error("no answer")
  return answer.error
}
