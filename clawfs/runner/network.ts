/**
 * What a sandbox may reach: for each grant a socket that listens inside of its network namespace, which has nothing else, and
 * is served from here, where the connection is made that was granted. Nothing that the tool does can lead one elsewhere.
 */
import { closeSync } from "node:fs"
import { lookup } from "node:dns/promises"
import { connect, createServer, type Server, type Socket } from "node:net"
import { networkInterfaces } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import { Fault } from "../core/fault.ts"
import { addLoopbackAddress, inNetworkOf, isLoopbackUp, listeningSocket } from "../sys/network-namespace.ts"
import { isPublic, plain } from "../core/addresses.ts"
import { NAMES_NETWORK, type NetworkGrant } from "../tools/network-grant.ts"

/** At the same time, of one sandbox; another one is closed at once. */
const MOST_CONNECTIONS = 64
const CONNECT_MS = 30_000
const LOOPBACK_MS = 10_000

/** Where a tool finds a grant: the address itself, or the one that its hosts file has for the name. */
export function addressInside(grants: readonly NetworkGrant[], { host, isAddress }: NetworkGrant): string {
  if (isAddress) return host
  return `${NAMES_NETWORK}.${namesOf(grants).indexOf(host) + 1}`
}

/** Where a tool finds all of them, in their order. */
export function placesInside(grants: readonly NetworkGrant[]): { address: string; port: number }[] {
  return grants.map((grant) => ({ address: addressInside(grants, grant), port: grant.port }))
}

function namesOf(grants: readonly NetworkGrant[]): string[] {
  return [...new Set(grants.flatMap(({ host, isAddress }) => (isAddress ? [] : [host])))]
}

/** /etc/hosts of a sandbox with these grants. */
export function hostsFile(grants: readonly NetworkGrant[]): string {
  const names = namesOf(grants).map((name, at) => `${NAMES_NETWORK}.${at + 1} ${name}\n`)
  return ["127.0.0.1 localhost\n", ...names].join("")
}

/** One sandbox's. Disposing of it ends every connection. */
export class Network implements Disposable {
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()
  #count = 0

  /** `pid`: a process of the sandbox whose program has not begun. Rejects when a grant can't be opened there. */
  static async open(pid: number, grants: readonly NetworkGrant[]): Promise<Network> {
    // bubblewrap sets the loopback up itself, and fails where somebody was faster.
    for (const end = Date.now() + LOOPBACK_MS; !inNetworkOf(pid, isLoopbackUp);) {
      if (Date.now() > end) throw new Fault("timeout", "the sandbox has no loopback")
      await sleep(1)
    }
    return new Network(
      inNetworkOf(pid, () => listenAll(grants)),
      grants,
    )
  }

  private constructor(listening: readonly number[], grants: readonly NetworkGrant[]) {
    for (const [at, grant] of grants.entries()) {
      const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) =>
        this.#serve(socket, grant),
      )
      // A tool that leaves so fast that its connection can't be accepted any more.
      server.on("error", () => undefined)
      server.listen({ fd: listening[at] })
      this.#servers.push(server)
    }
  }

  #serve(socket: Socket, grant: NetworkGrant): void {
    this.#keep(socket)
    if (this.#count >= MOST_CONNECTIONS) {
      socket.destroy()
      return
    }
    this.#count += 1
    socket.once("close", () => (this.#count -= 1))
    void this.#pass(socket, grant)
  }

  async #pass(socket: Socket, { host, port, isAddress }: NetworkGrant): Promise<void> {
    try {
      // The address is what is connected to: a name that has another one in the next moment changes nothing.
      const address = isAddress ? host : await publicAddressOf(host)
      if (socket.destroyed) return
      const other = connect({ host: address, port, allowHalfOpen: true, timeout: CONNECT_MS })
      this.#keep(other)
      other.once("timeout", () => other.destroy())
      other.once("connect", () => {
        other.setTimeout(0)
        socket.pipe(other)
        other.pipe(socket)
      })
      other.once("close", () => socket.destroy())
      socket.once("close", () => other.destroy())
    } catch {
      // There is no such host, or it is none of the internet's: the tool's connection ends, as if nobody listened.
      socket.resetAndDestroy()
    }
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on("error", () => socket.destroy())
    socket.once("close", () => this.#sockets.delete(socket))
  }

  [Symbol.dispose](): void {
    for (const server of this.#servers) server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** In the order of the grants. */
function listenAll(grants: readonly NetworkGrant[]): number[] {
  const fds: number[] = []
  try {
    const added = new Set<string>()
    for (const { address, port } of placesInside(grants)) {
      if (!address.startsWith("127.") && !added.has(address)) {
        addLoopbackAddress(address, added.size + 1)
        added.add(address)
      }
      fds.push(listeningSocket(address, port))
    }
    return fds
  } catch (thrown) {
    for (const fd of fds) closeSync(fd)
    throw thrown
  }
}

/** Decided after the lookup: a name in the internet may lead into the machine's own network. */
async function publicAddressOf(name: string): Promise<string> {
  const own = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  const address = choose(await lookup(name, { all: true }), own)
  if (address === undefined) throw new Fault("denied", `${name} has no public address`)
  return address
}

interface Address {
  readonly address: string
}

/** The first of `found` that is of the public internet and none of this machine's `own`. */
export function choose(found: readonly Address[], own: readonly Address[]): string | undefined {
  return found.find(
    ({ address }) => isPublic(address) && own.every((each) => each.address !== plain(address)),
  )?.address
}
