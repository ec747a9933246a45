/** `clawfs index`: how the search index is. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  json: { type: "boolean", help: "print JSON" },
} as const

export type IndexInvocation = Invocation<typeof options>

export const ACTIONS = ["status", "rebuild", "verify", "explain"] as const

export const index = command({
  name: "index",
  summary: "look after the search index",
  usage: "status|rebuild|verify [DIRECTORY] | explain FILE",
  description: `
status shows how much is indexed, how far the index is behind the files, and which embedder makes the
vectors. rebuild drops the index and makes it anew from the files; nothing but time is lost by that.
verify reads all of the index and says what is wrong in it. explain says of one file what the index has
of it, or why it is not indexed. DIRECTORY is any on the mount; by default the current one, or the only
mount there is.`,
  operands: [
    { name: "ACTION", completes: ACTIONS },
    { name: "PATH", completes: "directory", optional: true },
  ],
  options,
  exits: [
    [ExitCode.OK, "done"],
    [ExitCode.NO, "verify: something is wrong; explain: the file is not indexed"],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.MISSING, "no ClawFS, or no index yet"],
    [ExitCode.UNAVAILABLE, "the mount has no search"],
    [ExitCode.BUSY, "the daemon does not answer"],
    [ExitCode.DENIED, "no permission to ask the daemon"],
  ],
  run: async (invocation) => (await import("../run/index.ts")).runIndex(invocation),
})
