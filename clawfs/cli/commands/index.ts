/** `clawfs index`: how the search index is. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  json: { type: "boolean", help: "print JSON" },
  from: {
    type: "string",
    value: "FILE",
    completes: "directory",
    help: "config: take the configuration from FILE; - is standard input",
  },
} as const

export type IndexInvocation = Invocation<typeof options>

export const ACTIONS = ["status", "rebuild", "verify", "explain", "config"] as const

export const index = command({
  name: "index",
  summary: "look after the search index",
  usage: "status|rebuild|verify|config [DIRECTORY] | explain FILE",
  description: `
status shows how much is indexed, how far the index is behind the files, and which embedder makes the
vectors. rebuild drops the index and makes it anew from the files; nothing but time is lost by that.
verify reads all of the index and says what is wrong in it. explain says of one file what the index has
of it, or why it is not indexed. config prints how the search is configured, as JSON; with --from it is
configured so, and vectors of another embedder are made beside the old ones. DIRECTORY is any on the
mount; by default the current one, or the only mount there is.`,
  operands: [
    { name: "ACTION", completes: ACTIONS },
    { name: "PATH", completes: "directory", optional: true },
  ],
  options,
  exits: [
    [ExitCode.OK, "done"],
    [ExitCode.NO, "verify: something is wrong; explain: the file is not indexed"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "config: the configuration is not right"],
    [ExitCode.MISSING, "no ClawFS, or no index yet"],
    [ExitCode.UNAVAILABLE, "the mount has no search"],
    [ExitCode.BUSY, "the daemon does not answer"],
    [ExitCode.DENIED, "no permission to ask the daemon"],
  ],
  run: async (invocation) => (await import("../run/index.ts")).runIndex(invocation),
})
