import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { ControlServer } from "../../../clawfs/api/server.ts"
import { Fault, describe as sentence } from "../../../clawfs/core/fault.ts"
import { searchBelow, type Searchable } from "../../../clawfs/mcp/searcher.ts"
import { CONTROL_SOCKET, shortSocketPath } from "../../../clawfs/sys/socket-path.ts"
import { SearchParams, type SearchResponse, type SearchHit } from "../../../schema/search-api.ts"
import { QuietLog } from "../support/log.ts"
import { temporary, type Temporary } from "../support/temporary.ts"

let place: Temporary

beforeEach(() => {
  place = temporary()
})

afterEach(() => place[Symbol.dispose]())

const { signal } = new AbortController()

const result = (path: string): SearchHit => ({
  ...{ path, score: 0.5, title: "", type: "prose", heading: "", firstLine: 1, lastLine: 2 },
  snippet: { text: "found", firstLine: 1, highlights: [[0, 5]] },
})

const answer = (...paths: string[]): SearchResponse => ({
  ...{ results: paths.map(result), mode: "hybrid", degraded: [], milliseconds: 1, isFresh: true },
})

/** A directory of a mount whose daemon listens in `place`. */
const on = (inside: string): Searchable => ({
  path: `/mnt/${inside}`,
  onClawfs: () => ({ store: place.path, inside }),
})

async function daemon(method: string, search: (params: unknown) => unknown): Promise<ControlServer> {
  const socket = shortSocketPath(place.path, CONTROL_SOCKET)
  return await ControlServer.listen(socket, new Map([[method, search]]), new QuietLog())
}

const failureOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "no failure",
    (thrown: unknown) => sentence(thrown),
  )

describe("a search", () => {
  test("asks below the directory, and gives paths as the directory has them", async () => {
    const asked: unknown[] = []
    await using _ = await daemon("search", (params) => {
      asked.push(params)
      return answer("work/site/a.md", "work/site/deep/b.md", "work/other/c.md", "work/site-2/d.md")
    })
    const found = await searchBelow(on("work/site"), "deep", { query: "q", limit: 3, fresh: true }, signal)
    expect(found.results.map(({ path }) => path)).toEqual(["a.md", "deep/b.md"])
    expect(asked).toEqual([{ query: "q", limit: 3, fresh: true, below: ["work/site/deep"] }])
    await searchBelow(on("work/site"), "", { query: "q" }, signal)
    await searchBelow(on(""), "x/y", { query: "q" }, signal)
    await searchBelow(on(""), "", { query: "q", mode: "words" }, signal)
    expect(asked.slice(1)).toEqual([
      { query: "q", below: ["work/site"] },
      { query: "q", below: ["x/y"] },
      { query: "q", mode: "words" },
    ])
    for (const params of asked) expect(SearchParams.parse(params)).toEqual(params)
  })

  test("says what to do when there is nobody to ask", async () => {
    const nowhere = { path: "/home/me", onClawfs: () => undefined }
    expect(await failureOf(searchBelow(nowhere, "", { query: "q" }, signal))).toBe(
      "search needs a mounted ClawFS, and /home/me lies on none",
    )
    expect(await failureOf(searchBelow(on(""), "", { query: "q" }, signal))).toContain(
      "clawfs mount starts one, then search again",
    )
  })

  test("says that an older daemon has no search", async () => {
    await using _ = await daemon("status", () => ({}))
    expect(await failureOf(searchBelow(on(""), "", { query: "q" }, signal))).toContain(
      "is of a version without search: unmount it and mount it again",
    )
  })

  test("passes on what the daemon says about the question", async () => {
    await using _ = await daemon("search", () => {
      throw new Fault("invalid", "the query has no words")
    })
    expect(await failureOf(searchBelow(on(""), "", { query: "-" }, signal))).toBe("the query has no words")
  })

  test("does not trust an answer that is none", async () => {
    await using _ = await daemon("search", () => ({ results: [{ path: 1 }] }))
    expect(await failureOf(searchBelow(on(""), "", { query: "q" }, signal))).toContain("can't be understood")
  })

  test("ends when nobody needs it any more", async () => {
    await using _ = await daemon("search", () => new Promise(() => undefined))
    const controller = new AbortController()
    const failure = failureOf(searchBelow(on(""), "", { query: "q" }, controller.signal))
    setTimeout(() => controller.abort(), 50)
    expect(await failure).toBe("the question was withdrawn")
    expect(await failureOf(searchBelow(on(""), "", { query: "q" }, controller.signal))).toBe(
      "the question was withdrawn",
    )
  })
})
