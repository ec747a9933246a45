/** A store and the disk that it lies on. */
import { readFileSync, statfsSync } from "node:fs"
import { join, resolve } from "node:path"
import { filesystemOf } from "../../sys/clawfs-mounts.ts"
import { supervisorOf } from "../daemon.ts"
import { faultOf } from "../node-fault.ts"
import { humanBytes } from "../numbers.ts"
import { probe } from "../probe.ts"
import { inspectStore } from "../store-files.ts"
import { bad, ok, type Check } from "./check.ts"

const LEAST_FREE = 16 * 1024 * 1024
const LITTLE_FREE = 1024 * 1024 * 1024

export async function storeChecks(given: string): Promise<Check[]> {
  let store
  try {
    store = inspectStore(resolve(given))
  } catch (thrown) {
    const fault = faultOf(thrown)
    if (fault === undefined) throw thrown
    return [bad("fail", "store", { message: fault.message, hint: fault.hint ?? "name another directory" })]
  }
  const { path, version, newest } = store
  const facts = { path, version }
  const holder = await holderOf(path)
  const age = version === newest ? "" : ` and is brought to format ${newest} by the next mount`
  const use = holder === undefined ? "it is not mounted" : `it is in use by ${holder}`
  return [
    ok("store", `${path} has format ${version}${age}; ${use}`, { ...facts, isMounted: holder !== undefined }),
    filesystemCheck(path),
    spaceCheck(path),
  ]
}

/** Who holds the store's lock, which the kernel takes back from the dead. */
async function holderOf(store: string): Promise<string | undefined> {
  const lock = join(store, "lock")
  const result = await probe("lock", lock)
  if (!result.ok || result.value === "free") return undefined
  const supervisor = supervisorOf(store)
  if (supervisor !== undefined) return `process ${supervisor.pid} (mounted on ${supervisor.mountpoint})`
  try {
    const { pid, purpose } = JSON.parse(readFileSync(lock, "utf8")) as { pid: number; purpose: string }
    return `process ${pid} (${purpose})`
  } catch {
    return "another process"
  }
}

/** What may be wrong with a filesystem as a place for a store: SQLite's log needs memory shared between processes. */
const UNFIT: readonly (readonly [RegExp, string])[] = [
  [
    /^(nfs|cifs|smb|9p|afs|ceph|glusterfs|lustre|virtiofs|fuse)/,
    "is no local disk: locks and shared memory may fail on it, and with them the store",
  ],
  [/^(tmpfs|ramfs)$/, "lies in memory: the store is gone after a reboot"],
  [/^(vfat|msdos|exfat|ntfs)/, "keeps no owners and permissions: everybody can read the store"],
]

function filesystemCheck(store: string): Check {
  const type = filesystemOf(store)?.type ?? "unknown"
  const why = UNFIT.find(([pattern]) => pattern.test(type))?.[1]
  if (why === undefined) return ok("filesystem", `the store lies on ${type}`, { type })
  return bad("warn", "filesystem", {
    message: `the store lies on ${type}, which ${why}`,
    hint: "move it to a local disk, such as ext4, xfs or btrfs",
    facts: { type },
  })
}

function spaceCheck(store: string): Check {
  const { bavail, bsize, ffree, files } = statfsSync(store)
  const free = bavail * bsize
  const facts = { freeBytes: free }
  if (files > 0 && ffree === 0)
    return bad("fail", "space", {
      message: "the disk of the store has no inodes left",
      hint: "delete files there",
      facts,
    })
  if (free >= LITTLE_FREE) return ok("space", `${humanBytes(free)} are free on the disk of the store`, facts)
  return bad(free < LEAST_FREE ? "fail" : "warn", "space", {
    message: `only ${humanBytes(free)} are free on the disk of the store`,
    hint: "free some space there",
    facts,
  })
}
