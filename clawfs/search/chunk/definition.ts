/** Whether a line of source code defines something that has a name: by the words that languages use for it. */

const MODIFIERS =
  "export|default|declare|public|private|protected|internal|static|final|abstract|async|unsafe|inline|virtual|override|sealed|open|" +
  'pub(?:\\([^)]{0,40}\\))?|extern(?: "C")?|partial|data|case|const|constexpr|suspend|local|noinline|tailrec|inner|companion|typedef'
/** Words that are nothing else. */
const KEYWORDS =
  "function\\*?|class|interface|trait|struct|enum|union|namespace|impl|def|defp|defmodule|defmacro|fn|func|fun|sub|proc|procedure|" +
  "protocol|extension|macro_rules!|module|mod|actor|contract|object|record|type|package|subroutine|program"

const KEYWORD = new RegExp(
  `^(?:(?:${MODIFIERS})\\s+)*(?:${KEYWORDS})\\b!?\\s*(?:<[^>]{0,80}>\\s*)?(?:\\([^)]{0,80}\\)\\s*)?([A-Za-z_$][\\w$]*(?:(?:::|[.-])[\\w$]+)*[?!]?)(.?)`,
)
/** `const name = (…) => {`, `name = function (…) {`, `export const name = async x => {` */
const ARROW =
  /^(?:export\s+)?(?:const|let|var)\s+([\w$]+)\s*(?::[^=]{1,80})?=\s*(?:async\s*)?(?:function\b|\([^]*(?:=>|\()\s*\{?$|[\w$]+\s*=>)/
const CONTROL =
  /^(?:if|for|while|switch|return|else|catch|do|try|throw|new|delete|case|assert|using|with|await|yield|super|this|and|or|not|in|print)\b/

const BRACED = new Set([
  "c",
  "c++",
  "c#",
  "java",
  "javascript",
  "typescript",
  "objective-c",
  "d",
  "dart",
  "groovy",
  "php",
  "svelte",
  "vue",
])
const YAML = /^(?:- )?([\w./-]{1,80}):\s*(?:[|>&!].{0,20})?$/
const SECTION = /^\[{1,2}([^\]]{1,100})\]/
const TARGET = /^([\w./%-]{1,80})\s*:(?!=)/
const CREATE =
  /^(?:create(?:\s+or\s+replace)?|alter)\s+(?:\w+\s+){0,3}?(?:table|view|function|procedure|trigger|index|type)\s+(?:if\s+not\s+exists\s+)?([\w."`[\]]+)/i
const LISP =
  /^\((?:defun|defmacro|defn-?|define|defclass|defmethod|deftype|defrecord|ns|def)\s+\(?([^\s()]{1,80})/
const SHELL = /^(?:function\s+)?([\w-]{1,80})\s*\(\)\s*\{?$/

/** Languages whose definitions look different. */
const OTHERS: Readonly<Record<string, RegExp>> = {
  yaml: YAML,
  ini: SECTION,
  toml: SECTION,
  make: TARGET,
  sql: CREATE,
  lisp: LISP,
  clojure: LISP,
  bash: SHELL,
}

/**
 * The name that a line defines, "" for none.
 *
 * @param line without indentation, and of bounded length.
 */
export function definedName(line: string, language: string): string {
  const other = Object.hasOwn(OTHERS, language) ? OTHERS[language] : undefined
  if (other !== undefined) return other.exec(line)?.[1] ?? ""
  const [keyword, name = "", next = ""] = KEYWORD.exec(line) ?? []
  // `type = 1`, `object.method()`, `record: x` use the word as a name: there it is no definition.
  if (keyword !== undefined && next !== "=" && !CONTROL.test(name)) return name
  if (!BRACED.has(language)) return ""
  const arrow = ARROW.exec(line)?.[1]
  if (arrow !== undefined) return arrow
  return line.endsWith("{") && !CONTROL.test(line) ? calledName(line) : ""
}

/** `static int name(…) {`, `public void name(…) throws X {`, `name(…) {`: the word before the first bracket. */
function calledName(line: string): string {
  const bracket = line.indexOf("(")
  if (bracket < 1 || !line.includes(")", bracket)) return ""
  const before = line.slice(0, bracket).trimEnd()
  let from = before.length
  while (from > 0 && /[\w:~$]/.test(before.charAt(from - 1))) from -= 1
  const isDeclaration = !/[^\w\s*&:<>,[\]~$?]/.test(before)
  return isDeclaration && /^[A-Za-z_~$]/.test(before.slice(from)) ? before.slice(from) : ""
}
