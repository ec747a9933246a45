/** The kernel's side of links: what passes at both ends of each (bpf/link.bpf.c), and which they are. */
import { closeSync, constants, existsSync, openSync, statSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { Control } from "../../schema/sandbox.ts"
import { Fault, describe } from "../core/fault.ts"
import { BpfObject, bytes32, bytes64, hasLibbpf } from "../sys/libbpf.ts"
import { ipv4Bytes } from "../sys/network-namespace.ts"

const OBJECT = fileURLToPath(new URL("../../bpf/link.bpf.o", import.meta.url))
const AT_CONNECT = ["on_connect4", "on_connect6", "on_send4", "on_send6"] as const
/** bpf/link.bpf.c: struct link. */
const LINK_BYTES = 24
const COUNTS_AT = 8

/** A TCP port of an IPv4 address. */
export interface LinkPlace {
  readonly address: string
  readonly port: number
}

/** `index`: of the machine's end, which the link is known by. */
export interface LinkEnds {
  readonly index: number
  /** Of the tool's end and the machine's. */
  readonly tool: string
  readonly machine: string
}

/** Packets, at both ends. */
export interface LinkCounts {
  readonly passed: number
  readonly dropped: number
}

export class LinkProgram implements Disposable {
  readonly #object: BpfObject
  readonly #hasGroups: boolean

  private constructor(object: BpfObject, hasGroups: boolean) {
    this.#object = object
    this.#hasGroups = hasGroups
  }

  /** Or why there can be no links. `hasGroups`: sandboxes have control groups of version 2. */
  static load(hasGroups: boolean): LinkProgram | Pick<Control, "detail" | "hint"> {
    if (process.getuid?.() !== 0) return { detail: "it takes root's daemon", hint: "mount as root" }
    if (!hasLibbpf) return { detail: "libbpf is not installed", hint: "apt-get install libbpf1" }
    if (!existsSync(OBJECT)) return { detail: `${OBJECT} is missing`, hint: "make build" }
    try {
      const without = hasGroups ? [] : AT_CONNECT
      return new LinkProgram(new BpfObject(OBJECT, { without, constants: {}, sizes: {} }), hasGroups)
    } catch (thrown) {
      if (!(thrown instanceof Fault)) throw thrown
      return { detail: `the kernel does not take the filter of packets (${describe(thrown)})` }
    }
  }

  get control(): Control {
    if (this.#hasGroups)
      return {
        name: "link",
        state: "enforced",
        detail: "XDP at both ends of each link, and connect(2) by control group",
      }
    return {
      name: "link",
      state: "degraded",
      detail: "XDP at both ends of each link; connect(2) is not refused, as control groups are of version 1",
    }
  }

  /** In the namespace of that end. Until `add`, nothing passes. */
  guardMachineEnd(index: number): void {
    this.#object.attachToInterface("from_tool", index)
  }

  guardToolEnd(index: number): void {
    this.#object.attachToInterface("to_tool", index)
  }

  /** The sandbox's processes connect to what its link has, and to nothing else. `undefined` where groups are of version 1. */
  guardGroup({ index }: LinkEnds, directory: string | undefined): Disposable | undefined {
    if (!this.#hasGroups || directory === undefined) return undefined
    const group = bytes64(statSync(directory, { bigint: true }).ino)
    const guards: Disposable[] = []
    const end = (): void => {
      for (const guard of guards) guard[Symbol.dispose]()
      this.#object.map("groups").delete(group)
    }
    this.#object.map("groups").set(group, bytes32(index))
    const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      for (const name of AT_CONNECT) guards.push(this.#object.attachToGroup(name, fd))
      return { [Symbol.dispose]: end }
    } catch (thrown) {
      end()
      throw thrown
    } finally {
      closeSync(fd)
    }
  }

  /** From now on these pass: `places` of the machine's address, and of the tool's own loopback. */
  add({ index, tool, machine }: LinkEnds, places: readonly LinkPlace[]): void {
    const link = Buffer.alloc(LINK_BYTES)
    ipv4Bytes(tool).copy(link, 0)
    ipv4Bytes(machine).copy(link, 4)
    this.#object.map("links").set(bytes32(index), link)
    this.#object.map("tools").set(ipv4Bytes(tool), bytes32(index))
    for (const place of places) this.#object.map("places").set(placeKey(index, place), bytes32(1))
  }

  /** What has passed until now. */
  counts({ index }: LinkEnds): LinkCounts {
    const link = Buffer.alloc(LINK_BYTES)
    this.#object.map("links").get(bytes32(index), link)
    return {
      passed: Number(link.readBigUInt64LE(COUNTS_AT)),
      dropped: Number(link.readBigUInt64LE(COUNTS_AT + 8)),
    }
  }

  remove({ index, tool }: LinkEnds, places: readonly LinkPlace[]): void {
    for (const place of places) this.#object.map("places").delete(placeKey(index, place))
    this.#object.map("tools").delete(ipv4Bytes(tool))
    this.#object.map("links").delete(bytes32(index))
  }

  [Symbol.dispose](): void {
    this.#object[Symbol.dispose]()
  }
}

/** bpf/link.bpf.c: struct place. */
function placeKey(link: number, { address, port }: LinkPlace): Buffer {
  const key = Buffer.alloc(12)
  key.writeUInt32LE(link, 0)
  ipv4Bytes(address).copy(key, 4)
  key.writeUInt16BE(port, 8)
  return key
}
