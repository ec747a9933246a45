/** `clawfs search`: find files by words and by meaning. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

export const MODES = ["hybrid", "words", "meaning"] as const

const options = {
  mode: {
    type: "string",
    short: "m",
    value: "MODE",
    completes: MODES,
    help: "hybrid, words or meaning; default hybrid",
  },
  limit: { type: "string", short: "n", value: "N", help: "so many files at most; default 10" },
  fresh: { type: "boolean", help: "wait until everything written so far is in the index, up to 2 s" },
  explain: { type: "boolean", help: "show what each score is made of" },
  rrf: { type: "boolean", help: "fuse by ranks (reciprocal rank fusion) instead of scores" },
  grep: {
    type: "boolean",
    help: "print each line that matches QUERY, a regular expression, as grep -rn does",
  },
  "ignore-case": { type: "boolean", short: "i", help: "with --grep: upper and lower case are the same" },
  fixed: { type: "boolean", short: "F", help: "with --grep: QUERY is a string, no expression" },
  paths: { type: "boolean", help: "print paths and nothing else, for pipes" },
  json: { type: "boolean", help: "print JSON" },
} as const

export type SearchInvocation = Invocation<typeof options>

export const search = command({
  name: "search",
  summary: "find files by words and by meaning",
  usage: "[options] QUERY [DIRECTORY]",
  description: `
Finds the files that have most to do with QUERY, best first, and shows the lines that do. DIRECTORY is
where to look, on a mount; by default everything on the mount that the current directory lies on, or on
the only one there is. The index follows the files by itself, a second behind; nothing that is gone, and
nothing that the caller may not read, is shown. Who does not own the store asks through the directory
.search, with a query and without options that change the search.

With --grep the index only says which files can have a match; those are read and matched line by line,
so that nothing is missed that grep would find in a text that is indexed, at a fraction of the time.
Expressions are those of ECMAScript. It needs the right to read the store: root's, or its owner's.`,
  operands: [
    { name: "QUERY", completes: [] },
    { name: "DIRECTORY", completes: "directory", optional: true },
  ],
  options,
  sections: [
    {
      title: "queries",
      text: `
supplier delivery      words and forms of them; modes hybrid and meaning find related ones too
"second supplier"      these words, in this order
-draft                 not with this word
path:notes             below directories of this name or path
type:pdf ext:md        files of a type, with an extension
since:7d before:2026-05-01`,
    },
    {
      title: "examples",
      text: `
clawfs search "why did we pick the second supplier"
clawfs search --paths budget /clawfs/workspaces/x | xargs -d '\\n' wc -l
clawfs search --json --fresh "type:code retry backoff"
clawfs search --grep 'retry\(\w+\)' /clawfs/workspaces/x`,
    },
    {
      title: "--json",
      text: `
{"results":[{"path":…,"score":…,"title":…,"type":…,"heading":…,"firstLine":…,"lastLine":…,
"snippet":{"text":…,"firstLine":…,"highlights":[[start,end],…]}}],"mode":…,"degraded":[…],
"milliseconds":…,"isFresh":…}; degraded says what was not taken into account.`,
    },
  ],
  exits: [
    [ExitCode.OK, "something was found"],
    [ExitCode.NO, "nothing was found"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "a query that means nothing, such as filters alone"],
    [ExitCode.MISSING, "no ClawFS, no such directory, or no index yet"],
    [ExitCode.UNAVAILABLE, "the mount has no search"],
    [ExitCode.BUSY, "the daemon does not answer"],
    [ExitCode.DENIED, "no permission to ask the daemon"],
  ],
  run: async (invocation) => (await import("../run/search.ts")).runSearch(invocation),
})
