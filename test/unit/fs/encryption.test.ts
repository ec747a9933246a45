/** Encrypted trees: what is in them is nowhere in the clear, and can be neither read without the key nor moved about. */
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { isErrno } from "../../../clawfs/core/errno.ts"
import { Fault } from "../../../clawfs/core/fault.ts"
import { Database } from "../../../clawfs/store/database.ts"
import { META } from "../../../clawfs/store/store.ts"
import { removeSlot } from "../../../clawfs/store/tree-encryption.ts"
import { aclBytes } from "../support/acl.ts"
import { encrypt, keyOf, unlock, type Secret } from "../support/encryption.ts"
import { markedFiles } from "../support/encrypted-files.ts"
import { TestFileSystem, ok, outcome } from "../support/filesystem.ts"
import { brokenInvariants } from "../support/invariants.ts"

const ACL = Buffer.from("system.posix_acl_access")

let fs: TestFileSystem
let secret: Secret

beforeEach(() => {
  fs = new TestFileSystem()
  ok(fs.mkdir("plain"))
  ok(fs.mkdir("tree"))
  secret = encrypt(fs.store, fs.at("tree").ino)
})

afterEach(() => {
  fs.store.settle()
  expect(brokenInvariants(fs.directory)).toEqual([])
  fs[Symbol.dispose]()
})

const { setxattr, getxattr, fill, traces } = markedFiles(() => fs)

describe("an encrypted tree", () => {
  test("reads as a plain one does", () => {
    for (const top of ["tree", "plain"]) fill(top, "x")
    for (const pass of [1, 2]) {
      for (const name of ["x-small", "x-big", "x-directory"])
        expect(fs.at(`tree/${name}`).size, `${name} ${pass}`).toBe(fs.at(`plain/${name}`).size)
      for (const name of ["x-small", "x-big"]) {
        for (const range of [
          { offset: 0 },
          { offset: 130_000, size: 5000 },
          { offset: 290_000, size: 20_000 },
        ])
          expect(fs.read(fs.at(`tree/${name}`).ino, range)).toBe(fs.read(fs.at(`plain/${name}`).ino, range))
      }
      expect(fs.names(fs.at("tree").ino)).toEqual(fs.names(fs.at("plain").ino))
      expect(fs.names(fs.at("tree/x-directory").ino)).toEqual(["x-deep"])
      const target = ok(fs.fs.readlink(fs.request(fs.at("tree/x-link").ino)))
      expect(Buffer.from(target).toString()).toBe("x-target")
      expect(getxattr("tree/x-small", "user.x-attribute")).toBe("x-value")
      expect(getxattr("tree/x-small", "user.other")).toBe("ENODATA")
      fs.restart()
      unlock(fs.store, secret)
    }
  })

  test("leaves no trace of names, contents, attributes and targets in the store; a plain one does", () => {
    fill("plain", "PlainMark")
    fill("tree", "SecretMark")
    expect(traces("PlainMark")).toBeGreaterThan(8)
    expect(traces("SecretMark")).toBe(0)
    expect(fs.rename("tree/SecretMark-small", "tree/SecretMark-renamed")).toBe("OK")
    expect(fs.unlink("tree/SecretMark-big")).toBe("OK")
    expect(traces("SecretMark")).toBe(0)
  })

  test("passes its key on to directories in it, whatever else those are", () => {
    ok(fs.mkdir("tree/quota"))
    const inode = fs.store.inodes.get(fs.at("tree/quota").ino)
    if (inode === undefined) throw new Error("no inode")
    fs.store.transactAlone(() => {
      const limits = { limitBytes: 1000, limitInodes: 0, usedBytes: 0, usedInodes: 1 }
      fs.store.trees.save({ id: inode.ino, parent: inode.tree, flags: 0, key: 0, ...limits })
      inode.tree = inode.ino
      fs.store.inodes.save(inode)
    })
    ok(fs.mknod("tree/quota/SecretMark"))
    expect(fs.write(fs.at("tree/quota/SecretMark").ino, 0, "SecretMark")).toBe("OK")
    expect(traces("SecretMark")).toBe(0)
  })

  test("keeps ACLs, and gives them to what is made in it", () => {
    ok(fs.mknod("tree/file", 0o100640))
    expect(setxattr("tree/file", ACL.toString(), aclBytes("u::rw- u:7:r-- g::r-- m::r-- o::---"))).toBe("OK")
    ok(fs.setattr(fs.at("tree/file").ino, { mode: 0o100600 }))
    expect(getxattr("tree/file", ACL.toString())).toBe(
      aclBytes("u::rw- u:7:r-- g::r-- m::--- o::---").toString("latin1"),
    )
    expect(
      setxattr("tree", "system.posix_acl_default", aclBytes("u::rwx u:7:rwx g::r-x m::rwx o::---")),
    ).toBe("OK")
    ok(fs.mknod("tree/heir", 0o100666))
    expect(getxattr("tree/heir", ACL.toString())).not.toBe("ENODATA")
  })

  test("shares no blocks: the kernel copies instead", () => {
    fill("tree", "x")
    fill("plain", "y")
    const copy = (from: string, to: string): string => {
      const [source, target] = [fs.at(from).ino, fs.at(to).ino]
      const range = { offset: 0, target, targetOffset: 0, length: 1000, flags: 0 }
      return outcome(fs.fs.copyFileRange(fs.request(source), range))
    }
    expect([copy("tree/x-big", "tree/x-small"), copy("tree/x-big", "plain/y-small")]).toEqual([
      "EXDEV",
      "EXDEV",
    ])
    expect(copy("plain/y-big", "tree/x-small")).toBe("EXDEV")
  })

  test("takes no files from outside and gives none away", () => {
    ok(fs.mknod("plain/file"))
    ok(fs.mknod("tree/file"))
    expect([fs.rename("plain/file", "tree/in"), fs.rename("tree/file", "plain/out")]).toEqual([
      "EXDEV",
      "EXDEV",
    ])
    expect(outcome(fs.link("tree/file", "plain/out"))).toBe("EXDEV")
    expect(fs.rename("tree", "moved")).toBe("OK")
    expect(fs.names(fs.at("moved").ino)).toEqual(["file"])
  })

  test("is gone with its key when it is removed", () => {
    fill("tree", "x")
    for (const name of ["x-small", "x-big", "x-link", "x-directory/x-deep"])
      expect(fs.unlink(`tree/${name}`)).toBe("OK")
    expect([fs.rmdir("tree/x-directory"), fs.rmdir("tree")]).toEqual(["OK", "OK"])
    for (const ino of [...fs.env.orphans]) fs.fs.forget(ino, fs.env.lookups.get(ino))
    fs.store.settle()
    expect(fs.store.keys.ids()).toEqual([])
  })
})

describe("a locked tree", () => {
  beforeEach(() => {
    fill("tree", "x")
    fs.store.lockTree(secret.id)
  })
  afterEach(() => unlock(fs.store, secret))

  test("is a directory of which only attributes are known", () => {
    expect(fs.at("tree").mode).toBe(0o040755)
    expect(fs.names(fs.at("").ino)).toEqual(["plain", "tree"])
    const top = fs.at("tree").ino
    const asked = {
      lookup: () => fs.fs.lookup(fs.request(top), Buffer.from("x-small")),
      list: () => outcome(fs.fs.readdir(fs.request(top), 0, undefined as never, false)),
      make: () => fs.fs.mknod(fs.request(top), Buffer.from("new"), { mode: 0o100644, umask: 0, rdev: 0 }),
      remove: () => fs.fs.unlink(fs.request(top), Buffer.from("x-small")),
      getxattr: () => fs.fs.getxattr(fs.request(top), Buffer.from("user.x-top")),
      listxattr: () => fs.fs.listxattr(fs.request(top)),
      chmod: () => fs.setattr(top, { mode: 0o700 }),
    }
    for (const [name, ask] of Object.entries(asked)) {
      const got = ask()
      expect(typeof got === "string" ? got : outcome(got), name).toBe("ENOKEY")
    }
    expect(fs.rmdir("tree")).toBe("ENOTEMPTY")
  })

  test("answers ENOKEY for files that are open, and goes on when it is unlocked", () => {
    unlock(fs.store, secret)
    const node = fs.at("tree/x-small").ino
    fs.store.lockTree(secret.id)
    expect([fs.read(node), fs.write(node, 0, "y")]).toEqual(["ENOKEY", "ENOKEY"])
    expect(outcome(fs.fs.getattr(fs.request(node)))).toBe("OK")
    unlock(fs.store, secret)
    expect([fs.read(node), fs.write(node, 0, "y")]).toEqual(["x-small", "OK"])
  })

  test("disturbs nothing else", () => {
    fill("plain", "y")
    expect(fs.read(fs.at("plain/y-small").ino)).toBe("y-small")
    expect(fs.rename("tree", "elsewhere")).toBe("OK")
    expect(fs.rename("elsewhere", "tree")).toBe("OK")
    expect(outcome(fs.fs.statfs(fs.request(fs.at("tree").ino)))).toBe("OK")
  })

  test("opens with its own key alone", () => {
    ok(fs.mkdir("other"))
    const other = encrypt(fs.store, fs.at("other").ino)
    const wrong = keyOf(fs.store, other)
    expect(() => fs.store.unlockTree(wrong)).not.toThrow()
    expect(fs.store.sealing.isUnlocked(secret.id)).toBe(false)
    expect(() => keyOf(fs.store, { ...other, id: secret.id })).toThrow("does not open the tree")
  })
})

describe("an encrypted directory", () => {
  test("must be new: not full, not encrypted, not in an encrypted tree, no file", () => {
    ok(fs.mknod("plain/file"))
    ok(fs.mkdir("tree/inner"))
    const refused = (path: string): string => {
      try {
        encrypt(fs.store, fs.at(path).ino)
      } catch (thrown) {
        return (thrown as Error).message
      }
      return "was not refused"
    }
    expect(refused("plain")).toContain("create a new one")
    expect(refused("tree")).toBe("the directory is encrypted already")
    expect(refused("tree/inner")).toBe("the directory is encrypted already")
    expect(refused("plain/file")).toBe("only a directory can be encrypted")
  })

  test("has its attributes encrypted too", () => {
    ok(fs.mkdir("new"))
    expect(setxattr("new", "user.before", "BeforeMark")).toBe("OK")
    encrypt(fs.store, fs.at("new").ino)
    expect(getxattr("new", "user.before")).toBe("BeforeMark")
    using db = new Database(join(fs.directory, META), { readonly: true })
    const names = db.query<[number], [Buffer]>("SELECT name FROM xattr WHERE ino = ?").all(fs.at("new").ino)
    expect(names.map(([name]) => name.length)).toEqual([48])
  })

  test("keeps its last slot", () => {
    expect(() => removeSlot(fs.store, secret.id, 1)).toThrow("the last slot can't be removed")
    expect(() => removeSlot(fs.store, secret.id, 9)).toThrow("there is no slot 9")
  })
})

describe("what somebody has moved about in the store", () => {
  const LINKS = ["one-link", "two-link"]

  beforeEach(() => {
    fill("tree", "x")
    for (const name of ["one", "two"]) {
      ok(fs.mknod(`tree/${name}-big`))
      ok(fs.mknod(`tree/${name}-small`))
      const big = fs.at(`tree/${name}-big`).ino
      for (const part of [0, 1, 2]) fs.write(big, part * 131_072, Buffer.alloc(131_072, `${name}${part}`))
      fs.write(fs.at(`tree/${name}-small`).ino, 0, `${name}-small`)
      expect(setxattr(`tree/${name}-small`, "user.same", name)).toBe("OK")
      ok(fs.symlink(`tree/${name}-link`, `${name}-target`))
    }
    fs.store.commit()
  })

  /** Runs SQL behind the server's back, then starts another server. */
  function tamper(sql: readonly string[]): void {
    {
      using db = new Database(join(fs.directory, META))
      db.begin()
      for (const each of sql) db.execute(each)
      db.commit()
    }
    fs.restart()
    unlock(fs.store, secret)
  }

  const swap = (table: string, column: string, a: number, b: number): string[] => [
    `UPDATE ${table} SET ${column} = -1 WHERE ${column} = ${a}`,
    `UPDATE ${table} SET ${column} = ${a} WHERE ${column} = ${b}`,
    `UPDATE ${table} SET ${column} = ${b} WHERE ${column} = -1`,
  ]

  function verdict(ask: () => unknown): string {
    try {
      const got = ask()
      return isErrno(got) ? outcome(got) : String(got).slice(0, 20)
    } catch (thrown) {
      if (thrown instanceof Fault && thrown.kind === "corrupt") return "EIO"
      throw thrown
    }
  }

  const read = (path: string) => () => fs.read(fs.at(path).ino)
  const inoOf = (path: string): number => fs.at(path).ino

  test.each([
    ["extent", "body", "-big"],
    ["inline", "body", "-small"],
    ["file_key", "body", "-big"],
    ["file_key", "body", "-small"],
  ])("is refused: rows of table %s of two files (%s, %s)", (table, column, suffix) => {
    const [one, two] = [inoOf(`tree/one${suffix}`), inoOf(`tree/two${suffix}`)]
    const same = read(`tree/one${suffix}`)()
    tamper(swap(table, column, one, two))
    expect([verdict(read(`tree/one${suffix}`)), verdict(read(`tree/two${suffix}`))]).toEqual(["EIO", "EIO"])
    tamper(swap(table, column, one, two))
    expect(read(`tree/one${suffix}`)()).toBe(same)
  })

  test("is refused: two records of one file", () => {
    const one = inoOf("tree/one-big")
    const exchanged = [
      `UPDATE extent SET offset = 1 WHERE body = ${one} AND offset = 0`,
      `UPDATE extent SET offset = 0 WHERE body = ${one} AND offset = 131072`,
      `UPDATE extent SET offset = 131072 WHERE body = ${one} AND offset = 1`,
    ]
    tamper(exchanged)
    expect(verdict(read("tree/one-big"))).toBe("EIO")
    tamper(exchanged)
    expect(read("tree/one-big")()).toHaveLength(65_536)
  })

  test("is refused: an older record of the same place, and a record that is not encrypted", () => {
    const one = inoOf("tree/one-big")
    const place = (ino: number): [number, number, number, number, number] => {
      using db = new Database(join(fs.directory, META), { readonly: true })
      const row = db
        .query<[number], [number, number, number, number, number]>(
          "SELECT segment, position, sequence, record, plain FROM extent WHERE body = ? AND offset = 0",
        )
        .get(ino)
      if (row === undefined) throw new Error("no extent")
      return row
    }
    const point = ([segment, position, sequence, record, plain]: number[]): string =>
      `UPDATE extent SET segment = ${segment}, position = ${position}, sequence = ${sequence},
       record = ${record}, plain = ${plain} WHERE body = ${one} AND offset = 0`
    const old = place(one)
    expect(fs.write(one, 0, Buffer.alloc(131_072, "new"))).toBe("OK")
    ok(fs.mknod("plain/big"))
    expect(fs.write(inoOf("plain/big"), 0, Buffer.alloc(131_072, "plain"))).toBe("OK")
    fs.store.commit()
    const [now, plain] = [place(one), place(inoOf("plain/big"))]
    tamper([point([old[0], old[1], now[2], old[3], old[4]])])
    expect(verdict(read("tree/one-big"))).toBe("EIO")
    tamper([point(plain)])
    expect(verdict(read("tree/one-big"))).toBe("EIO")
    tamper([point(now)])
    expect(read("tree/one-big")().slice(0, 6)).toBe("newnew")
  })

  test("is refused: targets, attributes and names of others", () => {
    const [one, two] = LINKS.map((name) => inoOf(`tree/${name}`)) as [number, number]
    const readlink = (): unknown => fs.fs.readlink(fs.request(one))
    tamper(swap("symlink", "ino", one, two))
    expect(verdict(readlink)).toBe("EIO")
    tamper(swap("symlink", "ino", one, two))
    expect(verdict(readlink)).toBe("one-target")
    const [a, b] = [inoOf("tree/one-small"), inoOf("tree/two-small")]
    tamper(swap("xattr", "ino", a, b))
    expect(verdict(() => fs.fs.listxattr(fs.request(a)))).toBe("EIO")
    expect(verdict(() => getxattr("tree/one-small", "user.same"))).toBe("EIO")
    tamper(swap("xattr", "ino", a, b))
    expect(getxattr("tree/one-small", "user.same")).toBe("one")
    const [tree, sub] = [inoOf("tree"), inoOf("tree/x-directory")]
    tamper(swap("dentry", "parent", tree, sub))
    expect(verdict(() => fs.names(tree))).toBe("EIO")
    tamper(swap("dentry", "parent", tree, sub))
    const deep = `(SELECT cookie FROM dentry WHERE parent = ${sub})`
    tamper([`UPDATE dentry SET cookie = cookie + 100 WHERE parent = ${sub} AND cookie = ${deep}`])
    expect(verdict(() => fs.names(sub))).toBe("EIO")
    tamper([`UPDATE dentry SET cookie = cookie - 100 WHERE parent = ${sub} AND cookie = ${deep}`])
    expect(fs.names(sub)).toEqual(["x-deep"])
  })
})
