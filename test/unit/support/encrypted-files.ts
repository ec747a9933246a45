/** Files of every kind with a mark in all that they say, and how often the mark is found in the store. */
import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { expect } from "vitest"
import { ok, outcome, type TestFileSystem } from "./filesystem.ts"

const BIG = "large contents ".repeat(20_000)

interface MarkedFiles {
  setxattr(path: string, name: string, value: string | Buffer): string
  getxattr(path: string, name: string): string
  fill(top: string, mark: string): void
  traces(mark: string): number
}

/** `fs`: the filesystem of the present test. */
export function markedFiles(fs: () => TestFileSystem): MarkedFiles {
  const setxattr = (path: string, name: string, value: string | Buffer): string =>
    outcome(fs().fs.setxattr(fs().request(fs().at(path).ino), Buffer.from(name), Buffer.from(value), 0, 0))
  const getxattr = (path: string, name: string): string => {
    const got = fs().fs.getxattr(fs().request(fs().at(path).ino), Buffer.from(name))
    return typeof got === "number" ? outcome(got) : Buffer.from(got).toString("latin1")
  }

  /** Files of every kind below `top`, with names and contents that begin with `mark`. */
  function fill(top: string, mark: string): void {
    ok(fs().mkdir(`${top}/${mark}-directory`))
    for (const [name, contents] of [
      ["small", `${mark}-small`],
      ["big", `${mark}-big ${BIG}`],
    ] as const) {
      ok(fs().mknod(`${top}/${mark}-${name}`))
      expect(fs().write(fs().at(`${top}/${mark}-${name}`).ino, 0, contents)).toBe("OK")
    }
    expect(fs().write(fs().at(`${top}/${mark}-big`).ino, BIG.length + 100, `${mark}-tail`)).toBe("OK")
    ok(fs().mknod(`${top}/${mark}-directory/${mark}-deep`))
    ok(fs().symlink(`${top}/${mark}-link`, `${mark}-target`))
    expect(setxattr(`${top}/${mark}-small`, `user.${mark}-attribute`, `${mark}-value`)).toBe("OK")
    expect(setxattr(top, `user.${mark}-top`, `${mark}-value`)).toBe("OK")
  }

  /** How often `mark` stands in any file of the store, byte for byte. */
  function traces(mark: string): number {
    fs().store.commit()
    return readdirSync(fs().directory, { recursive: true, encoding: "utf8", withFileTypes: true })
      .filter((each) => each.isFile())
      .reduce((sum, each) => {
        const text = readFileSync(join(each.parentPath, each.name), "latin1")
        return sum + text.split(mark).length - 1
      }, 0)
  }

  return { setxattr, getxattr, fill, traces }
}
