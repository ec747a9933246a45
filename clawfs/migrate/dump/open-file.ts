/** The text of a dump: plain or compressed as it is, all other forms through pg_restore, which writes them as text. */
import { spawn } from "node:child_process"
import { closeSync, createReadStream, existsSync, openSync, readSync, statSync } from "node:fs"
import { delimiter, join } from "node:path"
import { pipeline } from "node:stream"
import { createGunzip } from "node:zlib"
import { Fault, describe } from "../../core/fault.ts"

const CUSTOM = Buffer.from("PGDMP")
const GZIP = Buffer.from([0x1f, 0x8b])
const TAR = Buffer.from("ustar")
const TAR_AT = 257
const HEAD_BYTES = 512
const MOST_COMPLAINT = 400

/** `searchPath`: where programs are, as PATH has it. Throws `Fault`: "not-found" for no file, "unsupported" where pg_restore is needed and missing. */
export function dumpText(path: string, searchPath: string): AsyncIterable<Buffer> {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat === undefined)
    throw new Fault("not-found", `there is no file ${path}`, {
      hint: "a server is postgresql://USER@HOST:5432/DATABASE",
    })
  if (stat.isDirectory()) {
    if (existsSync(join(path, "toc.dat"))) return restored(path, searchPath)
    throw new Fault("invalid", `${path} is a directory, and none of pg_dump's`)
  }
  if (!stat.isFile()) throw new Fault("invalid", `${path} is no regular file`)
  const head = headOf(path)
  const isCustom = startsWith(head, CUSTOM) || startsWith(head.subarray(TAR_AT), TAR)
  if (isCustom) return restored(path, searchPath)
  return startsWith(head, GZIP) ? unzipped(path) : (createReadStream(path) as AsyncIterable<Buffer>)
}

const startsWith = (bytes: Buffer, wanted: Buffer): boolean => bytes.subarray(0, wanted.length).equals(wanted)

function headOf(path: string): Buffer {
  const fd = openSync(path, "r")
  try {
    const head = Buffer.alloc(HEAD_BYTES)
    return head.subarray(0, readSync(fd, head, 0, HEAD_BYTES, 0))
  } finally {
    closeSync(fd)
  }
}

async function* unzipped(path: string): AsyncGenerator<Buffer> {
  // What fails in it is thrown where its bytes are asked for.
  const text = pipeline(createReadStream(path), createGunzip(), () => undefined)
  try {
    yield* text as AsyncIterable<Buffer>
  } catch (cause) {
    if (cause instanceof Fault) throw cause
    throw new Fault("corrupt", `${path} can't be decompressed: ${describe(cause)}`, { cause })
  }
}

/** pg_restore without a database writes SQL; it neither connects nor runs anything. */
async function* restored(path: string, searchPath: string): AsyncGenerator<Buffer> {
  const program = programIn(searchPath, "pg_restore")
  if (program === undefined)
    throw new Fault("unsupported", `${path} is not in plain text, and pg_restore is not installed`, {
      hint: "as root: apt-get install postgresql-client; or make the dump with pg_dump --format=plain",
    })
  const args = ["--no-owner", "--no-privileges", "--no-comments", "--file=-", path]
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { LC_ALL: "C" } })
  let complaint = ""
  const ended = new Promise<number | null>((resolve) => {
    child.once("close", resolve)
    child.once("error", (thrown) => {
      complaint = thrown.message
      resolve(null)
    })
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    if (complaint.length < MOST_COMPLAINT) complaint += text
  })
  try {
    yield* child.stdout as AsyncIterable<Buffer>
  } finally {
    child.kill("SIGKILL")
  }
  if ((await ended) === 0) return
  const [why = ""] = complaint.split("\n")
  const shown = why.replace(/^pg_restore: (?:error: )?/, "").replace(/\p{Cc}/gu, " ")
  throw new Fault("invalid", `pg_restore can't read ${path}: ${shown}`, {
    hint: "a dump is read by pg_restore of the same version or a newer one",
  })
}

function programIn(searchPath: string, name: string): string | undefined {
  const directories = searchPath.split(delimiter).filter((each) => each.startsWith("/"))
  return directories.map((directory) => join(directory, name)).find((path) => existsSync(path))
}
