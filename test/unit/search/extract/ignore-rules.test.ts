/** Which files are left out: rule files as git reads them, defaults, attributes. */
import { spawnSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test } from "vitest"
import {
  JUNK as JUNK_RULES,
  SECRETS as SECRET_RULES,
} from "../../../../clawfs/search/extract/default-rules.ts"
import { IgnoreRules } from "../../../../clawfs/search/extract/ignore-rules.ts"
import { Random, seed } from "../../support/random.ts"
import { temporary } from "../../support/temporary.ts"

type Table = Readonly<Record<string, string>>

function rules(files: Table = {}, attributes: Table = {}): IgnoreRules {
  return new IgnoreRules({
    rulesOf: (directory) => files[directory],
    attributeOf: (directory) => attributes[directory],
  })
}

const JUNK = "generated, by its name"
const SECRET = "a secret by its name"
const RULE = "left out by a .clawfsignore"
const OFF = "switched off by an attribute"

describe("defaults", () => {
  test("each of the rules leaves out what it names", () => {
    for (const line of `${JUNK_RULES}${SECRET_RULES}`.split("\n").filter((rule) => rule !== "")) {
      const name = line.replace(/^!/, "").replace(/\/$/, "/file.txt").replaceAll("*", "xy")
      const expected = line.startsWith("!") ? undefined : JUNK_RULES.includes(`\n${line}\n`) ? JUNK : SECRET
      expect(rules().reasonFor(`a/${name}`), line).toBe(expected)
    }
  })

  test.each([
    ["notes/plan.md", undefined],
    ["node_modules/left-pad/index.js", JUNK],
    ["a/b/.git/HEAD", JUNK],
    ["src/main.o", JUNK],
    ["package-lock.json", JUNK],
    ["package.json", undefined],
    ["lib/jquery.min.js", JUNK],
    ["a/node_modules.md", undefined],
    [".env", SECRET],
    ["deploy/.env.production", SECRET],
    ["deploy/.env.example", undefined],
    ["home/.ssh/config", SECRET],
    ["home/id_rsa", SECRET],
    ["home/id_rsa.pub", undefined],
    ["tls/server.key", SECRET],
    ["tls/server.PEM", undefined],
    ["keys.md", undefined],
  ])("%s", (path, reason) => {
    expect(rules().reasonFor(path)).toBe(reason)
  })

  test("a directory itself", () => {
    expect(rules().reasonFor("a/node_modules", true)).toBe(JUNK)
    expect(rules().reasonFor("a/node_modules", false)).toBeUndefined()
  })
})

describe("rule files", () => {
  test("deeper ones come later, the last rule that matches counts", () => {
    const given = rules({ "": "*.log\n!keep.log\n", a: "!debug.log\nkeep.log\n" })
    expect(given.reasonFor("x.log")).toBe(RULE)
    expect(given.reasonFor("keep.log")).toBeUndefined()
    expect(given.reasonFor("a/debug.log")).toBeUndefined()
    expect(given.reasonFor("a/keep.log")).toBe(RULE)
  })

  test("nothing comes back in a directory that is left out", () => {
    const given = rules({ "": "build/\n!build/keep.txt\n", build: "!keep.txt\n" })
    expect(given.reasonFor("build/keep.txt")).toBe(RULE)
  })

  test("a deeper file brings a directory back, with what is in it", () => {
    const given = rules({ "": "out/\n", a: "!out/\n" })
    expect(given.reasonFor("a/out/x.txt")).toBeUndefined()
    expect(given.reasonFor("b/out/x.txt")).toBe(RULE)
  })

  test("bring back what the defaults leave out, secrets too", () => {
    const given = rules({ "": "!node_modules/\n!.env\n!package-lock.json\n" })
    expect(given.reasonFor("node_modules/a/index.js")).toBeUndefined()
    expect(given.reasonFor("node_modules/a/node_modules/b.js")).toBeUndefined()
    expect(given.reasonFor("package-lock.json")).toBeUndefined()
    expect(given.reasonFor("x/.env")).toBeUndefined()
    expect(given.reasonFor("x/.env.local")).toBe(SECRET)
  })

  test("that nobody can match in time are not applied, the others are", () => {
    const given = rules({ "": `${"*a".repeat(40)}*b\n${"**/x/".repeat(40)}y\n*.tmp\n` })
    expect(given.reasonFor("a".repeat(250))).toBeUndefined()
    expect(given.reasonFor(`${"x/".repeat(2047)}z`)).toBeUndefined()
    expect(given.reasonFor("a.tmp")).toBe(RULE)
  })

  test("of any content are harmless", () => {
    const random = new Random(seed)
    const given = rules({ "": random.bytes(100_000).toString("latin1"), a: "[\n\\\n!\n/\n!/\n[z-a]\n***\n" })
    expect(() => given.reasonFor("a/b/c.txt")).not.toThrow()
  })

  test("of more directories than are kept in mind count all the same", () => {
    const given = new IgnoreRules({
      rulesOf: (directory) => (directory.endsWith("7") ? "*.txt\n" : undefined),
      attributeOf: (directory) => (directory.endsWith("9") ? "off" : undefined),
    })
    for (let round = 0; round < 2; round += 1)
      for (let i = 0; i < 12_000; i += 1)
        expect(given.reasonFor(`d${i}/a.txt`)).toBe(i % 10 === 7 ? RULE : i % 10 === 9 ? OFF : undefined)
  })

  test("are asked for again when they changed", () => {
    let text = "*.txt\n"
    const given = new IgnoreRules({
      rulesOf: (d) => (d === "" ? text : undefined),
      attributeOf: () => undefined,
    })
    expect(given.reasonFor("d/a.txt")).toBe(RULE)
    text = "*.md\n"
    expect(given.reasonFor("d/a.txt")).toBe(RULE)
    given.forget("")
    expect(given.reasonFor("d/a.txt")).toBeUndefined()
  })
})

describe("the attribute", () => {
  test("of the nearest directory decides before the defaults", () => {
    const given = rules({}, { work: "off", "work/notes": "on", "a/node_modules/mine": "on", odd: "maybe" })
    expect(given.reasonFor("work/x.md")).toBe(OFF)
    expect(given.reasonFor("work/notes/deep/x.md")).toBeUndefined()
    expect(given.reasonFor("a/node_modules/mine/x.js")).toBeUndefined()
    expect(given.reasonFor("a/node_modules/other/x.js")).toBe(JUNK)
    expect(given.reasonFor("odd/x.md")).toBeUndefined()
    expect(given.reasonFor("work", true)).toBe(OFF)
  })

  test('"on" lifts no secrets and no rules, "off" no rule', () => {
    const given = rules({ "": "*.log\n!.env\n" }, { "": "on", off: "off" })
    expect(given.reasonFor("server.key")).toBe(SECRET)
    expect(given.reasonFor("x.log")).toBe(RULE)
    expect(given.reasonFor("main.o")).toBeUndefined()
    expect(given.reasonFor("off/.env")).toBe(OFF)
  })
})

const names = ["a", "b", "c", "x.log", "y.txt", "build", "keep"] as const
const patterns = [
  ...([
    "*.log",
    "!keep",
    "build/",
    "/a",
    "a/b",
    "**/c",
    "c/**",
    "a/**/x.log",
    "!x.log",
    "*",
    "!*/",
    "!b/",
  ] as const),
  ...(["b*", "?", "[ab]", "# no", "\\!a", "y.txt ", "keep/", "!/b/y.txt", "/b/*", "!/b/c", "*.t?t"] as const),
] as const
const gitEnvironment = { ...process.env, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" }
const hasGit = spawnSync("git", ["--version"]).status === 0

test.skipIf(!hasGit)("rule files mean what they mean to git", () => {
  using place = temporary()
  const git = (parameters: readonly string[], input = ""): string =>
    spawnSync("git", ["-C", place.path, ...parameters], { encoding: "utf8", input, env: gitEnvironment })
      .stdout
  git(["init", "--quiet"])
  const random = new Random(seed)
  for (let round = 0; round < 60; round += 1) {
    const files: Record<string, string> = {}
    for (const directory of ["", "a", "b", "a/b"]) {
      files[directory] = Array.from({ length: random.below(4) }, () => `${random.pick(patterns)}\n`).join("")
      mkdirSync(join(place.path, directory), { recursive: true })
      writeFileSync(join(place.path, directory, ".gitignore"), files[directory])
    }
    const given = rules(files)
    const made = Array.from({ length: 60 }, () =>
      Array.from({ length: 1 + random.below(4) }, () => random.pick(names)).join("/"),
    )
    // What is there is a directory for git, everything else a file.
    const paths = made.filter((path) => !["a", "b", "a/b"].includes(path))
    const ignored = git(["check-ignore", "--no-index", "--stdin"], paths.join("\n")).trim().split("\n")
    for (const path of paths)
      expect(given.reasonFor(path) === RULE, `${path} by ${JSON.stringify(files)}`).toBe(
        ignored.includes(path),
      )
  }
})
