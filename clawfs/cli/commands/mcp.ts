/** `clawfs mcp`: the files of a mount for clients of the Model Context Protocol. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  root: {
    type: "string",
    value: "PATH",
    completes: "directory",
    help: "directory that the tools can't leave; default: the ClawFS mount of the current directory, or the only one",
  },
  "read-only": { type: "boolean", help: "offer only tools that change nothing" },
  tools: {
    type: "string",
    value: "LIST",
    completes: ["files", "memory", "ironclaw", "files,memory"],
    help: "what to offer, of files, memory and ironclaw, with commas; default: files, with --memory files,memory",
  },
  memory: {
    type: "string",
    value: "DIR",
    completes: "directory",
    help: "directory of the memory tools; default: PATH/memories. It is made when it is first needed",
  },
  guard: {
    type: "string",
    value: "ACTION",
    completes: ["redact", "block", "alert"],
    help: "look for values of the vault's secrets in answers: redact, block or alert; needs the vault unlocked",
  },
  vault: {
    type: "string",
    value: "DIR",
    completes: "directory",
    help: "with --guard: the vault's directory",
  },
} as const

export type McpInvocation = Invocation<typeof options>

export const mcp = command({
  name: "mcp",
  summary: "offer the files to an agent, over MCP",
  usage: "[--root PATH] [--read-only] [--tools LIST] [--memory DIR] [--guard ACTION]",
  description: `
Speaks the Model Context Protocol on stdin and stdout until stdin ends: a client such as Claude Code
or Claude Desktop starts it (docs/MCP.md). PATH may be any directory; search needs a mounted ClawFS.
No path that a client sends leads out of PATH, not by "..", nor by a symbolic link.`,
  operands: [],
  options,
  sections: [
    {
      title: "tools",
      text: `
files      search, read, write, edit, list, stat
memory     memory: view, create, str_replace, insert, delete and rename below /memories
ironclaw   memory_search, memory_write, memory_read, memory_tree`,
    },
  ],
  exits: [
    [ExitCode.OK, "stdin has ended"],
    [ExitCode.USAGE, "wrong usage, or several ClawFS are mounted and none is named"],
    [ExitCode.DATA, "PATH is no directory"],
    [ExitCode.MISSING, "PATH does not exist, no ClawFS is mounted, or with --guard there is no vault"],
    [ExitCode.UNAVAILABLE, "the kernel is older than Linux 5.6, or forbids openat2"],
    [ExitCode.IO, "the client has sent more than 16 MiB in one message"],
    [ExitCode.DENIED, "no permission"],
  ],
  run: async (invocation) => (await import("../run/mcp.ts")).runMcp(invocation),
})
