/**
 * Which files are indexed. Three things decide, the first that says something:
 *
 * 1. the attribute `user.clawfs.index` of the nearest directory above that has one: "off" leaves everything out;
 * 2. `.clawfsignore` files (git-ignore syntax) of the directories above: as with git, the last rule that matches counts, rules of
 *    deeper directories come later, and what lies in a directory that is left out can't be brought back by a rule;
 * 3. the defaults (default-rules.ts): secrets, then junk. The attribute "on" lifts junk, not secrets.
 *
 * Pure: what the rule files and attributes hold is asked for.
 */
import ignore, { type Ignore } from "ignore"
import { JUNK, SECRETS } from "./default-rules.ts"

export const RULE_FILE = ".clawfsignore"
export const INDEX_ATTRIBUTE = "user.clawfs.index"

/** Asked with a directory's path relative to the root: "" is the root itself, "a/b" one below. */
export interface RuleSource {
  /** The text of the directory's `.clawfsignore`, undefined when it has none. */
  rulesOf(directory: string): string | undefined
  /** The value of the directory's `user.clawfs.index`, undefined when it has none. Others than "on" and "off" count as none. */
  attributeOf(directory: string): string | undefined
}

/** A rule file is read that far. */
const MAX_CHARS = 65_536
const MAX_RULES = 1000
/** Matching takes time that grows with the power of the stars in one name. */
const MAX_STARS = 3
const MAX_DOUBLE_STARS = 4
/** So many rule files above a path count, the nearest ones. */
const MAX_RULE_FILES = 32

/** Why a path is left out, for people. */
export type IgnoreReason =
  | "switched off by an attribute"
  | "left out by a .clawfsignore"
  | "a secret by its name"
  | "generated, by its name"

/** Directories of which is kept what was asked and decided; then it starts anew. */
const MAX_KEPT = 10_000

export class IgnoreRules {
  readonly #source: RuleSource
  readonly #rules = new Map<string, Rules | undefined>()
  readonly #attributes = new Map<string, "on" | "off" | undefined>()
  /** By directory and whether junk is lifted. */
  readonly #verdicts = new Map<string, IgnoreReason | undefined>()

  constructor(source: RuleSource) {
    this.#source = source
  }

  /**
   * Why a file, or a directory with what is below it, is not indexed; undefined when it is. Below a directory that is left out
   * by an attribute or as junk, one whose attribute is "on" is indexed all the same.
   *
   * @param path relative to the root, "a/b.txt", without "." and "..".
   */
  reasonFor(path: string, isDirectory = false): IgnoreReason | undefined {
    const above = directoriesAbove(path)
    const nearest = this.#nearestAttribute(isDirectory ? [...above, path] : above)
    if (nearest === "off") return "switched off by an attribute"
    const isLifted = nearest === "on"
    const rules = this.#rulesAbove(above)
    return this.#verdictOf(above, rules, isLifted) ?? judge(path, isDirectory, rules, isLifted)
  }

  /** What a directory's rule file or attribute said is asked for again; without one, of all directories. */
  forget(directory?: string): void {
    this.#verdicts.clear()
    if (directory === undefined) {
      this.#rules.clear()
      this.#attributes.clear()
    } else {
      this.#rules.delete(directory)
      this.#attributes.delete(directory)
    }
  }

  #nearestAttribute(directories: readonly string[]): "on" | "off" | undefined {
    for (const directory of directories.toReversed()) {
      const value = this.#attributeOf(directory)
      if (value !== undefined) return value
    }
    return undefined
  }

  #attributeOf(directory: string): "on" | "off" | undefined {
    if (!this.#attributes.has(directory)) {
      if (this.#attributes.size >= MAX_KEPT) this.#attributes.clear()
      const value = this.#source.attributeOf(directory)
      this.#attributes.set(directory, value === "on" || value === "off" ? value : undefined)
    }
    return this.#attributes.get(directory)
  }

  /** Whether the last of the directories, or one above it, is left out, attributes apart. */
  #verdictOf(
    directories: readonly string[],
    rules: readonly RuleFile[],
    isLifted: boolean,
  ): IgnoreReason | undefined {
    const keyOf = (directory: string): string => `${isLifted ? "on" : ""}/${directory}`
    const known = directories.findLastIndex((directory) => this.#verdicts.has(keyOf(directory)))
    let verdict = known < 0 ? undefined : this.#verdicts.get(keyOf(directories[known] ?? ""))
    for (const directory of directories.slice(known + 1)) {
      // The root has no name that a rule could match.
      if (directory !== "") verdict ??= judge(directory, true, rules, isLifted)
      if (this.#verdicts.size >= MAX_KEPT) this.#verdicts.clear()
      this.#verdicts.set(keyOf(directory), verdict)
    }
    return verdict
  }

  /** Of the nearest directories that have one, the topmost first. */
  #rulesAbove(directories: readonly string[]): RuleFile[] {
    const found: RuleFile[] = []
    for (const directory of directories.toReversed()) {
      const rules = this.#rulesOf(directory)
      if (rules !== undefined) found.unshift({ directory, rules })
      if (found.length === MAX_RULE_FILES) break
    }
    return found
  }

  #rulesOf(directory: string): Rules | undefined {
    if (!this.#rules.has(directory)) {
      if (this.#rules.size >= MAX_KEPT) this.#rules.clear()
      const text = this.#source.rulesOf(directory)
      this.#rules.set(directory, text === undefined ? undefined : new Rules(text))
    }
    return this.#rules.get(directory)
  }
}

interface RuleFile {
  readonly directory: string
  readonly rules: Rules
}

/** "a/b/c.txt" → "", "a", "a/b" */
function directoriesAbove(path: string): string[] {
  const directories = [""]
  for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1))
    directories.push(path.slice(0, at))
  return directories
}

/** What rules and defaults say of one path, whose directories are not left out. */
function judge(
  path: string,
  isDirectory: boolean,
  files: readonly RuleFile[],
  isLifted: boolean,
): IgnoreReason | undefined {
  const whole = `${path}${isDirectory ? "/" : ""}`
  let ruled: "in" | "out" | undefined
  for (const { directory, rules } of files) {
    if (directory !== "" && !path.startsWith(`${directory}/`)) break
    ruled = rules.say(whole.slice(directory === "" ? 0 : directory.length + 1)) ?? ruled
  }
  if (ruled === "in") return undefined
  if (ruled === "out") return "left out by a .clawfsignore"
  const name = whole.slice(path.lastIndexOf("/") + 1)
  if (!mayBeDefault.test(name)) return undefined
  if (secrets.say(name) === "out") return "a secret by its name"
  return !isLifted && junk.say(name) === "out" ? "generated, by its name" : undefined
}

/** Paths after which the package's own cache, which keeps every path for good, is dropped. */
const MAX_CACHED = 10_000
const MAX_BELOW = 20

/** One rule file. */
class Rules {
  readonly #lines: readonly string[]
  #matcher: Ignore
  readonly #below = new Map<string, Ignore>()
  #asked = 0

  constructor(text: string) {
    const lines = text.slice(0, MAX_CHARS).split(/\r?\n/)
    this.#lines = lines.slice(0, MAX_RULES).filter(isCheap)
    this.#matcher = this.#compile()
  }

  /** What the last rule that matches a path says of it, relative to the file's directory; a directory's ends with "/". */
  say(path: string): "in" | "out" | undefined {
    this.#asked += 1
    if (this.#asked % MAX_CACHED === 0) {
      this.#matcher = this.#compile()
      this.#below.clear()
    }
    const { ignored, unignored } = this.#matcher.test(path)
    if (unignored) return "in"
    if (!ignored) return undefined
    // The package also counts rules for the directories above, which another rule file may have brought back.
    const above = path.slice(0, path.lastIndexOf("/", path.length - 2) + 1)
    if (above === "" || !this.#matcher.test(above).ignored) return "out"
    return this.#matcherBelow(above).test(path).ignored ? "out" : undefined
  }

  /** One for which a directory and those above it are not left out. */
  #matcherBelow(directory: string): Ignore {
    const known = this.#below.get(directory)
    if (known !== undefined) return known
    const matcher = this.#compile()
    for (let at = directory.indexOf("/"); at >= 0; at = directory.indexOf("/", at + 1))
      matcher.add({ pattern: `!/${directory.slice(0, at).replace(/[\\*?[\]!# ]/g, "\\$&")}/` })
    if (this.#below.size >= MAX_BELOW) this.#below.clear()
    this.#below.set(directory, matcher)
    return matcher
  }

  #compile(): Ignore {
    return ignore({ ignorecase: false, allowRelativePaths: true }).add(this.#lines)
  }
}

/** A rule with many stars would take longer for one name than all others for a tree; such rules are not applied. */
function isCheap(rule: string): boolean {
  const parts = rule.split("/")
  const doubles = parts.filter((part) => part === "**").length
  return doubles <= MAX_DOUBLE_STARS && parts.every((part) => part === "**" || starsIn(part) <= MAX_STARS)
}

const starsIn = (part: string): number => part.match(/\*+/g)?.length ?? 0

const junk = new Rules(JUNK)
const secrets = new Rules(SECRETS)

/**
 * What any of the default rules could mean, in one expression: they are asked one after another, which is a tenth of what it takes to index a
 * small file, only about a name that it matches.
 */
const mayBeDefault = new RegExp(
  `^(?:${[JUNK, SECRETS]
    .flatMap((rules) => rules.split("\n"))
    .filter((rule) => rule !== "")
    .map((rule) =>
      rule
        .replace(/^!|\/$/g, "")
        .replace(/[.+?^${}()|[\]\\]/g, "\\$&")
        .replaceAll("*", ".*"),
    )
    .join("|")})/?$`,
  "s",
)
