/** `clawfs migrate`: an IronClaw database becomes files. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const options = {
  mount: {
    type: "string",
    value: "DIRECTORY",
    completes: "directory",
    help: "which ClawFS; default: that of the current directory, or the only one",
  },
  run: { type: "string", value: "NAME", help: "name of the run; default: one that follows from the source" },
  schema: { type: "string", value: "NAME", help: "schema of the database; found by itself unless given" },
  "password-file": { type: "string", value: "FILE", help: "a file whose one line is the server's password" },
  "master-key-file": {
    type: "string",
    value: "FILE",
    help: "a file with IronClaw's master key, or its .env; SECRETS_MASTER_KEY is looked at otherwise",
  },
  "ironclaw-home": {
    type: "string",
    value: "DIR",
    completes: "directory",
    help: "the directory of IronClaw, ~/.ironclaw: tools, skills, configuration",
  },
  vault: { type: "string", value: "DIR", completes: "directory", help: "the vault's directory" },
  "skip-undecryptable": { type: "boolean", help: "leave secrets behind that can't be decrypted" },
  theirs: { type: "boolean", help: "where both sides changed, the database wins" },
  follow: { type: "boolean", help: "postgres: go on until a signal, then compare everything" },
  every: {
    type: "string",
    value: "SECONDS",
    help: "postgres --follow: look for changes so often; default 5",
  },
  strict: { type: "boolean", help: "a table that nobody knows counts as a loss" },
  "embedding-model": {
    type: "string",
    value: "MODEL",
    help: "what made the vectors, where no setting of IronClaw's says so",
  },
  json: { type: "boolean", help: "print JSON: one object; postgres: one a line, as things happen" },
} as const

export type MigrateInvocation = Invocation<typeof options>

export const MIGRATE_ACTIONS = ["postgres", "plan", "verify", "rollback", "status"] as const

export const migrate = command({
  name: "migrate",
  summary: "bring an IronClaw database over, and prove nothing is missing",
  usage: "[options] postgres|plan|verify URL|FILE | rollback RUN | status [RUN]",
  description: `
Reads an IronClaw store in PostgreSQL (releases 0.1 to 0.29, and 1.x) and makes files of it:
workspaces, conversations, jobs, routines, settings, tools, people; the rest is archived. The database is
read in one read-only transaction and never changed. Secrets go from IronClaw's encryption into the vault
(clawfs vault unlock), and so do credentials that stand in settings as plain text.

  postgres URL|FILE  migrates; killed or run again, it goes on and does what is left
  plan URL|FILE      what is there, what becomes of it, and what will not go over; changes nothing
  verify URL|FILE    compares every document, message, tool and secret with the database
  rollback RUN       removes what a run made, and nothing that was edited since
  status [RUN]       the runs, or what one has made

URL is postgresql://USER@HOST:PORT/DATABASE, with libpq's parameters (sslmode, sslrootcert, host).
FILE is a dump of pg_dump's: plain, gzip, or its other formats where pg_restore is installed. It is read
into memory, without a server, and nothing of it is run. The password comes from PGPASSWORD, ~/.pgpass or
--password-file, the master key from --master-key-file, SECRETS_MASTER_KEY or --ironclaw-home. Neither is
ever an argument.

With --follow it looks for changes every few seconds until SIGINT or SIGTERM, then migrates once more and
verifies: stop IronClaw, then send the signal. With --json, postgres prints events, an object a line:
plan, progress, item, conflict and done; --follow prints them for each pass, and verified at the end.

What a user wrote or edited on the mount is never overwritten unless --theirs says so. docs/MIGRATE.md
tells where everything goes.`,
  operands: [
    { name: "ACTION", completes: MIGRATE_ACTIONS },
    { name: "WHAT", completes: [], optional: true },
  ],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs migrate plan postgresql://ironclaw@localhost/ironclaw
clawfs migrate postgres postgresql://ironclaw@localhost/ironclaw --ironclaw-home ~/.ironclaw
clawfs migrate verify postgresql://ironclaw@localhost/ironclaw --ironclaw-home ~/.ironclaw
clawfs migrate postgres ironclaw.dump
clawfs migrate status
clawfs migrate rollback pg-3f2a90c1d4e7`,
    },
  ],
  exits: [
    [ExitCode.OK, "done, and every row has its place; plan: all of it can go over"],
    [ExitCode.NO, "done, but not every row has its place; they are listed"],
    [ExitCode.USAGE, "wrong usage"],
    [
      ExitCode.DATA,
      "not one of IronClaw's databases; a dump that is cut off, or no pg_dump's; a damaged ledger",
    ],
    [ExitCode.MISSING, "no server, database, dump, run, ClawFS or vault"],
    [ExitCode.UNAVAILABLE, "a server or database of an unknown version; a dump that needs pg_restore"],
    [ExitCode.CANNOT_CREATE, "the run is of another source"],
    [ExitCode.IO, "the disk is full or fails; the server was lost: run it again"],
    [ExitCode.BUSY, "another command works on the run; the server has no connection left"],
    [ExitCode.DENIED, "a wrong password, no rights; secrets that can't be decrypted; the vault is locked"],
  ],
  run: async (invocation) => (await import("../run/migrate.ts")).runMigrate(invocation),
})
