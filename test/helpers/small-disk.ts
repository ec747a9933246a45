/** A small filesystem of its own for one test: in memory, or of another kind in a file. */
import { spawnSync } from "node:child_process"
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { temporaryDirectory } from "./mount.ts"
import { detachElsewhere } from "./mountinfo.ts"
import { requirePrograms } from "./requirements.ts"

export type DiskKind = "tmpfs" | "ext4" | "xfs" | "btrfs"

/** About the smallest that each can be made. */
const MIB = { tmpfs: 96, ext4: 96, xfs: 320, btrfs: 160 } as const
const MKFS: Readonly<Record<Exclude<DiskKind, "tmpfs">, readonly string[]>> = {
  ext4: ["-q", "-F"],
  xfs: ["-q", "-f"],
  btrfs: ["-q", "-f"],
}

/** The reason why there can be no such disk here, or undefined. */
export function requireDisk(kind: DiskKind): string | undefined {
  if (process.getuid?.() !== 0) return "not root: mounting a disk needs it"
  if (kind === "tmpfs") return undefined
  const missing = requirePrograms(`mkfs.${kind}`)
  if (missing !== undefined) return missing
  const known = readFileSync("/proc/filesystems", "utf8").includes(`\t${kind}\n`)
  if (!known && spawnSync("modprobe", [kind]).status !== 0) return `this kernel has no ${kind}`
  return spawnSync("losetup", ["--find"]).status === 0 ? undefined : "there are no loop devices"
}

export class SmallDisk implements Disposable {
  readonly kind: DiskKind
  /** Where it is mounted. */
  readonly path: string
  readonly #base = temporaryDirectory()
  readonly #mib: number

  constructor(kind: DiskKind, mib: number = MIB[kind]) {
    this.kind = kind
    this.#mib = mib
    this.path = join(this.#base, "disk")
    mkdirSync(this.path)
    try {
      this.#make()
    } catch (thrown) {
      rmSync(this.#base, { recursive: true })
      throw thrown
    }
  }

  #make(): void {
    if (this.kind === "tmpfs") {
      command("mount", ["-t", "tmpfs", "-o", `size=${this.#mib}m`, "clawfs-test", this.path])
      return
    }
    const image = join(this.#base, "image")
    const fd = openSync(image, "w")
    ftruncateSync(fd, this.#mib * 1024 * 1024)
    closeSync(fd)
    command(`mkfs.${this.kind}`, [...MKFS[this.kind], image])
    command("mount", ["-o", "loop", image, this.path])
  }

  /** mount(8) with `-o remount,OPTIONS`; what it says when it fails. */
  remount(options: string): string | undefined {
    const { status, stderr } = spawnSync("mount", ["-o", `remount,${options}`, this.path], {
      encoding: "utf8",
    })
    return status === 0 ? undefined : stderr
  }

  /** Of ext4: it takes a damage for found and becomes read-only, as after an error of the device; for as long as it is mounted. */
  failReadOnly(): void {
    command("mount", ["-o", "remount,errors=remount-ro", this.path])
    const device = spawnSync("findmnt", ["-no", "SOURCE", this.path], { encoding: "utf8" }).stdout.trim()
    writeFileSync(`/sys/fs/ext4/${basename(device)}/trigger_fs_error`, "1")
  }

  /** Mounts it anew, as after a reboot: what fsck(8) finds of the failure is mended. */
  replug(options = "rw"): void {
    unmount(this.path)
    // Namespaces that other tests have made meanwhile have it mounted too, and then it can't be mounted in another way.
    detachElsewhere(this.#base)
    const image = join(this.#base, "image")
    spawnSync("e2fsck", ["-fy", image])
    command("mount", ["-o", `loop,${options}`, image, this.path])
  }

  [Symbol.dispose](): void {
    unmount(this.path)
    rmSync(this.#base, { recursive: true })
  }
}

function command(program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: "utf8" })
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? stderr}`)
}

const BUSY_SECONDS = 30

/** Processes that were killed hold it until they have ended. */
function unmount(path: string): void {
  for (let left = BUSY_SECONDS * 10; left > 0; left--) {
    if (spawnSync("umount", [path]).status === 0) return
    spawnSync("sleep", ["0.1"])
  }
  command("umount", [path])
}
