/** What a file's name says about its content: a hint only, the content decides first. */

/** How a plain text is to be read. */
export type TextFormat = "text" | "markdown" | "code" | "json" | "jsonl" | "csv" | "tsv" | "html" | "mail"

export interface NameHint {
  readonly format: TextFormat
  /** Language of code, "" otherwise. */
  readonly language: string
}

/** Language → extensions. */
const LANGUAGES: Readonly<Record<string, string>> = {
  ada: "adb ads",
  asm: "s asm",
  assembly: "nasm",
  awk: "awk",
  bash: "sh bash zsh ksh bats",
  batch: "bat cmd",
  c: "c h",
  clojure: "clj cljs cljc edn",
  cmake: "cmake",
  "c++": "cc cpp cxx c++ hh hpp hxx h++ ipp tpp ino",
  "c#": "cs csx",
  css: "css scss sass less styl",
  d: "d",
  dart: "dart",
  diff: "diff patch",
  dockerfile: "dockerfile",
  elixir: "ex exs",
  elm: "elm",
  erlang: "erl hrl",
  "f#": "fs fsi fsx",
  fish: "fish",
  fortran: "f f77 f90 f95 f03 for",
  gleam: "gleam",
  glsl: "glsl vert frag comp wgsl hlsl metal",
  go: "go",
  graphql: "graphql gql",
  groovy: "groovy gradle",
  haskell: "hs lhs",
  hcl: "tf hcl tfvars",
  ini: "ini cfg conf properties desktop service socket timer editorconfig",
  java: "java",
  javascript: "js mjs cjs jsx",
  julia: "jl",
  kotlin: "kt kts",
  lisp: "lisp lsp el scm rkt cl",
  lua: "lua",
  make: "mk mak make",
  matlab: "mat m",
  nim: "nim",
  nix: "nix",
  "objective-c": "mm",
  ocaml: "ml mli",
  pascal: "pas pp dpr",
  perl: "pl pm t",
  php: "php phtml",
  powershell: "ps1 psm1 psd1",
  prolog: "pro",
  protobuf: "proto thrift capnp",
  python: "py pyi pyw pyx",
  r: "r",
  ruby: "rb rake gemspec",
  rust: "rs",
  scala: "scala sc sbt",
  solidity: "sol",
  sql: "sql ddl",
  svelte: "svelte",
  swift: "swift",
  tcl: "tcl",
  toml: "toml",
  typescript: "ts mts cts tsx",
  verilog: "v sv svh vh",
  vhdl: "vhd vhdl",
  vim: "vim",
  vue: "vue",
  xml: "xml xsd xsl xslt svg plist rss atom wsdl csproj",
  yaml: "yaml yml",
  zig: "zig",
}

const FORMATS: Readonly<Record<Exclude<TextFormat, "code">, string>> = {
  text: "txt text log rst adoc asciidoc org tex bib srt vtt nfo",
  markdown: "md markdown mkd mdx mdown qmd rmd",
  json: "json json5 jsonc geojson webmanifest ipynb har topojson",
  jsonl: "jsonl ndjson",
  csv: "csv",
  tsv: "tsv tab",
  html: "html htm xhtml shtml",
  mail: "eml",
}

/** Files whose whole name tells, in lower case. */
const NAMES: Readonly<Record<string, NameHint>> = {
  makefile: { format: "code", language: "make" },
  gnumakefile: { format: "code", language: "make" },
  dockerfile: { format: "code", language: "dockerfile" },
  containerfile: { format: "code", language: "dockerfile" },
  jenkinsfile: { format: "code", language: "groovy" },
  rakefile: { format: "code", language: "ruby" },
  gemfile: { format: "code", language: "ruby" },
  vagrantfile: { format: "code", language: "ruby" },
  "cmakelists.txt": { format: "code", language: "cmake" },
  "go.mod": { format: "code", language: "go" },
  ".bashrc": { format: "code", language: "bash" },
  ".profile": { format: "code", language: "bash" },
  ".zshrc": { format: "code", language: "bash" },
  ".vimrc": { format: "code", language: "vim" },
  readme: { format: "markdown", language: "" },
}

const hints = new Map<string, NameHint>([
  ...entries(LANGUAGES).map(([ext, language]) => [ext, { format: "code", language }] as const),
  ...entries(FORMATS).map(([ext, format]) => [ext, { format: format as TextFormat, language: "" }] as const),
])

function entries(table: Readonly<Record<string, string>>): [extension: string, key: string][] {
  return Object.entries(table).flatMap(([key, list]) =>
    list.split(" ").map((extension): [string, string] => [extension, key]),
  )
}

/** Shebang program, without version → language. */
const INTERPRETERS: Readonly<Record<string, string>> = {
  sh: "bash",
  bash: "bash",
  dash: "bash",
  zsh: "bash",
  ksh: "bash",
  python: "python",
  pypy: "python",
  node: "javascript",
  deno: "typescript",
  bun: "typescript",
  tsx: "typescript",
  ruby: "ruby",
  perl: "perl",
  php: "php",
  lua: "lua",
  awk: "awk",
  gawk: "awk",
  tclsh: "tcl",
  rscript: "r",
  julia: "julia",
  fish: "fish",
  make: "make",
  pwsh: "powershell",
}

/** By extension or whole name (the last component of a path); undefined when the name says nothing. */
export function hintOf(name: string): NameHint | undefined {
  const lower = name.toLowerCase()
  const whole = Object.hasOwn(NAMES, lower) ? NAMES[lower] : undefined
  if (whole !== undefined) return whole
  const dot = lower.lastIndexOf(".")
  return dot < 0 ? undefined : hints.get(lower.slice(dot + 1))
}

/** `#!/usr/bin/env -S python3.11 -u` → "python"; "" when the text has no such line, or names a program that is unknown. */
export function shebangLanguage(text: string): string {
  if (!text.startsWith("#!")) return ""
  const line = text.slice(2, 200).split("\n", 1)[0] ?? ""
  const words = line.trim().split(/[ \t]+/)
  const programs = words.map((word) => word.slice(word.lastIndexOf("/") + 1))
  const isEnv = programs[0] === "env"
  const program = isEnv
    ? programs.slice(1).find((word) => !word.startsWith("-") && !word.includes("="))
    : programs[0]
  const bare = (program ?? "").toLowerCase().replace(/[\d.]+$/, "")
  return Object.hasOwn(INTERPRETERS, bare) ? (INTERPRETERS[bare] ?? "") : ""
}
