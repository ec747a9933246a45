import { statSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"
import { Opcode } from "../../../clawfs/fuse/abi.ts"
import { META } from "../../../clawfs/store/store.ts"
import { brokenInvariants } from "../support/invariants.ts"
import { z } from "../support/requests.ts"
import { TestServer } from "../support/server.ts"
import { ROOT, Session } from "../support/session.ts"

const FILES = 1500
const DATA = Buffer.alloc(4000, "data")

function fill(session: Session): void {
  for (let i = 0; i < FILES; i += 1) {
    const node = session.mknod(`f${i}`)
    session.write(node, 0, DATA)
    session.forget(node)
  }
}

function cleanUp(server: TestServer): void {
  server.settle()
  server.store.garbage.wantAll()
  // In slices, each a commit, as the serving thread does it.
  while (server.store.clean(256 * 1024) > 0) server.store.commit()
  server.store.commit()
  server.store.checkpointInline("TRUNCATE")
}

test("the database's file shrinks when files are deleted, and what is left is the same", () => {
  using server = new TestServer()
  const session = new Session(server)
  fill(session)
  cleanUp(server)
  const meta = join(server.directory, META)
  const full = statSync(meta).size
  for (let i = 0; i < FILES; i += 1)
    if (i % 10 !== 0) expect(session.status(Opcode.UNLINK, ROOT, [z(`f${i}`)])).toBe(0)
  server.settle()
  expect(server.store.garbage.freeBytes).toBeGreaterThan(0.7 * full)
  cleanUp(server)
  expect(server.store.garbage.freeBytes).toBe(0)
  expect(statSync(meta).size).toBeLessThan(0.3 * full)
  server.restart()
  expect(session.names()).toHaveLength(FILES / 10)
  const node = session.entry(Opcode.LOOKUP, ROOT, [z("f10")])
  expect(session.read(node)).toEqual(DATA)
  expect(brokenInvariants(server.directory)).toEqual([])
})

test("a kill between two slices loses nothing", () => {
  using server = new TestServer()
  const session = new Session(server)
  fill(session)
  for (let i = 0; i < FILES; i += 1) if (i % 10 !== 0) session.status(Opcode.UNLINK, ROOT, [z(`f${i}`)])
  server.settle()
  server.store.garbage.wantAll()
  for (let slice = 0; server.store.garbage.freeBytes > 0 && slice < 100; slice += 1) {
    server.store.garbage.wantAll()
    server.store.clean(512 * 1024)
    // Every other one is not committed.
    if (slice % 2 === 0) server.store.commit()
    server.restart()
    expect(brokenInvariants(server.directory)).toEqual([])
  }
  expect(server.store.garbage.freeBytes).toBe(0)
  expect(session.names()).toHaveLength(FILES / 10)
})
