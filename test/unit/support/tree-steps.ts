/** Random operations below one directory, the same for every filesystem on which the same was done before. */
import type { TestFileSystem } from "./filesystem.ts"
import { outcome } from "./filesystem.ts"
import type { Random } from "./random.ts"

/** Does something, or nothing ("none"), and says how it ended. */
export type Step = (fs: TestFileSystem) => string

const NAMES = ["a", "b", "c", "d", "sub/e", "sub/f", "sub/g"] as const
/** Around everything that matters: small files, the inline limit, the length of a record. */
const LENGTHS = [50, 5000, 17_000, 200_000] as const
const FALLOCATE_MODES = [0, 1, 3, 0x10, 0x11] as const
const RENAME_WHITEOUT = 4

function onFile(path: string, run: (fs: TestFileSystem, node: number) => string): Step {
  return (fs) => (fs.has(path) ? run(fs, fs.at(path).ino) : "none")
}

/** The kernel forgets the inode at once if that was its last name, as it does unless a program has it open. */
function unlink(path: string): Step {
  return onFile(path, (fs) => {
    const { ino, nlink } = fs.at(path)
    const result = fs.unlink(path)
    if (result === "OK" && nlink === 1) fs.fs.forget(ino, fs.env.lookups.get(ino))
    return result
  })
}

export function anyStep(random: Random, top: string): Step {
  const path = `${top}/${random.pick(NAMES)}`
  const other = `${top}/${random.pick(NAMES)}`
  const offset = random.below(random.below(3) === 0 ? 400_000 : 20_000)
  const targetOffset = random.below(300_000)
  const length = 1 + random.below(random.pick(LENGTHS))
  switch (random.below(14)) {
    case 0:
      return (fs) => outcome(fs.mknod(path))
    case 1:
      return (fs) => outcome(fs.symlink(path, "target"))
    case 2:
      return (fs) => (fs.has(other) ? outcome(fs.link(other, path)) : "none")
    case 3:
      return unlink(path)
    case 4:
      return onFile(other, (fs) => fs.rename(other, path))
    case 5:
      // To a free name: what it replaced would give an inode back, but only after it has taken one.
      return onFile(other, (fs) => (fs.has(path) ? "none" : fs.rename(other, path, RENAME_WHITEOUT)))
    case 6:
      return onFile(path, (fs, node) => outcome(fs.setattr(node, { size: offset })))
    case 7: {
      const mode = random.pick(FALLOCATE_MODES)
      return onFile(path, (fs, node) => outcome(fs.fs.fallocate(fs.request(node), mode, offset, length)))
    }
    case 8:
      return onFile(other, (fs, node) => {
        if (!fs.has(path) || fs.at(path).ino === node) return "none"
        const target = fs.at(path).ino
        return outcome(fs.fs.copyFileRange(fs.request(node), { offset, target, targetOffset, length }))
      })
    default: {
      const appends = random.below(2) === 0
      return onFile(path, (fs, node) =>
        fs.write(node, appends ? fs.at(path).size : offset, Buffer.alloc(length, offset)),
      )
    }
  }
}
