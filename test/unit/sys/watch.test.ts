/** Descriptors that are watched together. */
import { closeSync, writeSync } from "node:fs"
import { expect, test } from "vitest"
import { pipeToPoll, readAvailable } from "../../../clawfs/sys/pipes.ts"
import { watchReadable } from "../../../clawfs/sys/watch.ts"

const soon = (): Promise<void> => new Promise((resolve) => void setTimeout(resolve, 20))

test("each is told of its own, as long as there is something, until it is closed", async () => {
  const pipes = Array.from({ length: 100 }, () => pipeToPoll())
  const heard: string[] = []
  const handles = pipes.map(([reading], at) =>
    watchReadable(reading, () => {
      const bytes = readAvailable(reading)
      heard.push(`${at} ${bytes?.toString() ?? "end"}`)
      if (bytes === undefined) handles[at]?.close()
    }),
  )
  for (const at of [3, 70]) writeSync(pipes[at]?.[1] ?? -1, "x")
  await expect.poll(() => heard.sort()).toEqual(["3 x", "70 x"])
  for (const [, writing] of pipes) closeSync(writing)
  await expect.poll(() => heard.filter((each) => each.endsWith("end"))).toHaveLength(100)
  for (const handle of handles) handle.close()
  for (const [reading] of pipes) closeSync(reading)
})

test("one that another's callback has closed hears nothing any more", async () => {
  const pipes = [pipeToPoll(), pipeToPoll()]
  let count = 0
  const handles = pipes.map(([reading]) =>
    watchReadable(reading, () => {
      count += 1
      for (const handle of handles) handle.close()
    }),
  )
  for (const [, writing] of pipes) writeSync(writing, "x")
  await expect.poll(() => count).toBe(1)
  await soon()
  expect(count).toBe(1)
  for (const fd of pipes.flat()) closeSync(fd)
})
