/** The opcodes of filesystems whose openings mean something (`Operations.handles`): these rows instead of those of opcode.ts. */
import { E, OK, isErrno, type Status } from "../core/errno.ts"
import type { Reader } from "../core/bytes.ts"
import { bug } from "../core/assert.ts"
import * as abi from "./abi.ts"
import type { InHeader } from "./abi.ts"
import { ROWS, ttl, type Context, type Row } from "./opcode.ts"
import type { Handles } from "./operations.ts"

function handlesOf({ operations }: Context): Handles {
  return operations.handles ?? bug("a filesystem without handles")
}

function open(context: Context, request: InHeader, reader: Reader): Status {
  const opened = handlesOf(context).open(request, abi.readOpenIn(reader).flags)
  if (isErrno(opened)) return opened
  abi.writeOpenOut(context.reply.writer, abi.FOPEN_DIRECT_IO, opened.handle)
  return OK
}

function create(context: Context, request: InHeader, reader: Reader): Status {
  const creation = { ...abi.readCreateIn(reader), rdev: 0 }
  const made = handlesOf(context).create(request, reader.name(), creation)
  if (isErrno(made)) return made
  abi.writeEntryOut(context.reply.writer, made.attr, ttl(context, made.attr.ino))
  abi.writeOpenOut(context.reply.writer, abi.FOPEN_DIRECT_IO, made.handle)
  return OK
}

function read(context: Context, _: InHeader, reader: Reader): Status {
  const { handle, offset, size } = abi.readReadIn(reader)
  const range = { offset, size: Math.min(size, context.reply.capacity), keepsAtime: true }
  return handlesOf(context).read(handle, range, context.reply)
}

function write(context: Context, _: InHeader, reader: Reader): Status {
  const { handle, offset, size } = abi.readWriteIn(reader)
  const status = handlesOf(context).write(handle, offset, reader.bytes(size))
  if (status === OK) abi.writeCountOut(context.reply.writer, size)
  return status
}

function flush(context: Context, _: InHeader, reader: Reader): Status {
  return handlesOf(context).flush(abi.readReleaseIn(reader).handle)
}

function release(context: Context, _: InHeader, reader: Reader): Status {
  handlesOf(context).release(abi.readReleaseIn(reader).handle)
  return OK
}

/** A file without a name can't be opened for something. */
function tmpfile(): Status {
  return E.EOPNOTSUPP
}

const O = abi.Opcode

export const HANDLE_ROWS: ReadonlyMap<number, Row> = new Map<number, Row>([
  ...ROWS,
  [O.OPEN, { name: "OPEN", run: open }],
  [O.CREATE, { name: "CREATE", run: create }],
  [O.TMPFILE, { name: "TMPFILE", run: tmpfile }],
  [O.READ, { name: "READ", run: read }],
  [O.WRITE, { name: "WRITE", run: write }],
  [O.FLUSH, { name: "FLUSH", run: flush }],
  [O.RELEASE, { name: "RELEASE", run: release }],
])
