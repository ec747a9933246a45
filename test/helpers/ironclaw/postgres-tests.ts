/** One PostgreSQL for the tests of a file or block: started before them, stopped after them; without it they are skipped. */
import { afterAll, beforeAll, beforeEach } from "vitest"
import { skipIf } from "../requirements.ts"
import { SMALL, type Size } from "./fixture.ts"
import { load } from "./load.ts"
import { PostgresServer, requirePostgres } from "./postgres-server.ts"

export interface PostgresOfTests {
  /** While tests run. */
  readonly server: PostgresServer
  /** The URL of a new database with IronClaw's tables and rows in it. */
  loaded(size: Partial<Size>): Promise<string>
}

export function usePostgres(): PostgresOfTests {
  const reason = requirePostgres()
  let started: PostgresServer | undefined
  beforeEach((context) => skipIf(context, reason))
  beforeAll(async () => {
    if (reason === undefined) started = await PostgresServer.start()
  })
  afterAll(async () => {
    await started?.[Symbol.asyncDispose]()
  })
  const postgres = {
    get server(): PostgresServer {
      if (started === undefined) throw new Error("PostgreSQL runs while tests do")
      return started
    },
    async loaded(size: Partial<Size>): Promise<string> {
      const url = postgres.server.url(await postgres.server.database())
      await load(url, { ...SMALL, ...size })
      return url
    },
  }
  return postgres
}
