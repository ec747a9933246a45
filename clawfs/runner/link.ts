/**
 * A link: a pair of interfaces between a sandbox's network namespace and the machine, by which the tool reaches granted TCP
 * ports of the machine, and nothing else. What passes is decided in the kernel, at both ends, before any packet can be sent.
 * The interfaces are removed with it: a namespace may outlive its processes by the minutes for which the kernel tries to end
 * their connections.
 */
import { randomInt } from "node:crypto"
import { closeSync, openSync, readFileSync } from "node:fs"
import { E } from "../core/errno.ts"
import { Fault, SysFault } from "../core/fault.ts"
import { inNetworkOf } from "../sys/network-namespace.ts"
import { RouteSocket, interfaceIndex } from "../sys/rtnetlink.ts"
import type { LinkCounts, LinkEnds, LinkPlace, LinkProgram } from "./link-program.ts"

/** Of the machine's ends: behind it stands the number of the link, which no other runner has at the same time. */
const PREFIX = "clawfs"
/** In the sandbox. */
const INSIDE = "eth0"
const NUMBERS = 254 * 256
const FREE_TRIES = 4096
const PREFIX_BITS = 16

/** The name that tools have for the machine. */
export const MACHINE_NAME = "clawfs-host"

/** What a plan says of it. */
export interface LinkGrant {
  /** Of the machine, at its end of the link. */
  readonly ports: readonly number[]
  /** Two numbers, such as "10.213": all addresses of links begin with them. */
  readonly network: string
}

/** The same for all links. */
export function machineAddress({ network }: Pick<LinkGrant, "network">): string {
  return `${network}.0.1`
}

export interface LinkOptions {
  readonly program: LinkProgram
  readonly grant: LinkGrant
  /** Where the tool may connect besides: its own loopback serves other grants. */
  readonly others: readonly LinkPlace[]
  /** The sandbox's control group of version 2. */
  readonly group: string | undefined
}

/** One sandbox's. Disposing of it lets nothing pass any more; `remove` removes the interfaces. */
export class Link implements Disposable {
  /** Of the machine's end. */
  readonly name: string
  /** Address of the tool's end. */
  readonly tool: string
  readonly #program: LinkProgram
  readonly #ends: LinkEnds
  readonly #places: readonly LinkPlace[]
  #guard: Disposable | undefined
  #isOpen = true

  /** `pid`: a process of the sandbox whose program has not begun. Throws when a link can't be made there. */
  constructor(pid: number, { program, grant, others, group }: LinkOptions) {
    requireFree(grant.network)
    const machine = machineAddress(grant)
    using here = new RouteSocket()
    const { name, number } = addPair(here, pid)
    const index = interfaceIndex(name)
    this.name = name
    this.tool = `${grant.network}.${1 + (number >> 8)}.${number & 0xff}`
    this.#program = program
    const { tool } = this
    this.#ends = { index, tool, machine }
    this.#places = [...grant.ports.map((port) => ({ address: machine, port })), ...others]
    try {
      program.guardMachineEnd(index)
      this.#guard = program.guardGroup(this.#ends, group)
      program.add(this.#ends, this.#places)
      here.addAddress(index, machine, tool)
      here.setUp(index)
      inNetworkOf(pid, () => {
        const inside = interfaceIndex(INSIDE)
        program.guardToolEnd(inside)
        using there = new RouteSocket()
        there.addAddress(inside, tool, machine)
        there.setUp(inside)
      })
    } catch (thrown) {
      this[Symbol.dispose]()
      this.remove()
      throw thrown
    }
  }

  /** Of packets, until now. */
  get counts(): LinkCounts {
    return this.#program.counts(this.#ends)
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#guard?.[Symbol.dispose]()
    this.#program.remove(this.#ends, this.#places)
  }

  /** To be called when the tool has ended. The kernel waits some 20 ms for whoever looks at the interfaces. */
  remove(): void {
    using here = new RouteSocket()
    try {
      here.remove(this.#ends.index)
    } catch (thrown) {
      // The namespace has gone before, and the interfaces with it.
      if (!(thrown instanceof SysFault && thrown.errno === E.ENODEV)) throw thrown
    }
  }
}

/** The kernel lets one interface have a name: whoever makes it has the number. */
function addPair(here: RouteSocket, pid: number): { name: string; number: number } {
  const namespace = openSync(`/proc/${pid}/ns/net`, "r")
  try {
    for (let tries = 0; tries < FREE_TRIES; tries += 1) {
      const number = randomInt(NUMBERS)
      const name = `${PREFIX}${number}`
      if (isAdded(here, name, namespace)) return { name, number }
    }
    throw new Fault("busy", "too many tools have a link")
  } finally {
    closeSync(namespace)
  }
}

/** False when there is an interface of that name. */
function isAdded(here: RouteSocket, name: string, namespace: number): boolean {
  try {
    here.addPair(name, INSIDE, namespace)
    return true
  } catch (thrown) {
    if (!(thrown instanceof SysFault)) throw thrown
    if (thrown.errno === E.EEXIST) return false
    if (thrown.errno !== E.EOPNOTSUPP) throw thrown
    throw new Fault("unsupported", "this kernel has no virtual Ethernet devices", { hint: "modprobe veth" })
  }
}

/** Other interfaces must not have addresses of ours: what is meant for them would go to a tool. */
function requireFree(network: string): void {
  const other = otherRouteIn(network, readFileSync("/proc/net/route", "latin1"))
  if (other === undefined) return
  throw new Fault("unsupported", `addresses of ${network}.0.0/16 belong to the interface ${other}`, {
    hint: "choose another network: link_network in system/sandbox.json",
  })
}

/** The first interface that is none of ours with a route into the network; `table`: /proc/net/route (proc(5)). */
export function otherRouteIn(network: string, table: string): string | undefined {
  const [first = 0, second = 0] = network.split(".").map(Number)
  // Numbers there are as this machine keeps them in memory.
  const wanted = first | (second << 8)
  const lines = table.trim().split("\n").slice(1)
  return lines
    .map((line) => line.split(/\s+/))
    .find(([name = "", destination = "", , , , , , mask = ""]) => {
      const bits = Number.parseInt(mask, 16).toString(2).replaceAll("0", "").length
      const isWithin = bits >= PREFIX_BITS && (Number.parseInt(destination, 16) & 0xffff) === wanted
      return isWithin && !new RegExp(`^${PREFIX}\\d+$`).test(name)
    })?.[0]
}
