import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { defineConfig } from "vitest/config"
import { patience } from "./test/helpers/patience.ts"

/** Those that put something in the place of a module, each of which needs modules of its own. */
const mocking = readdirSync("test/unit", { recursive: true, encoding: "utf8" })
  .map((path) => join("test/unit", path))
  .filter((path) => path.endsWith(".test.ts") && readFileSync(path, "utf8").includes("vi.mock("))

const unit = {
  // Not threads: a child that one thread is just starting holds a moment long what another has locked or closed.
  pool: "forks",
  maxWorkers: 2,
  // Ends what hangs. Ten times what the slowest takes: on a busy machine with a slow disk it takes that.
  testTimeout: 300_000,
  hookTimeout: 120_000,
  expect: { poll: { timeout: 30_000 } },
} as const

/**
 * unit, and unit-mocks: parallel, no privileges. Files share the modules that they load: to load them anew took longer than many
 * tests. mount: needs /dev/fuse; every file drives the built binary in child processes.
 * slow: what takes minutes (`make test-slow`). vm: what wants a kernel with everything (`make test-vm`).
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...unit,
          name: "unit",
          include: ["test/unit/**/*.test.ts", "test/damage/**/*.test.ts", "test/*.test.ts"],
          exclude: mocking,
          isolate: false,
        },
      },
      { test: { ...unit, name: "unit-mocks", include: mocking } },
      {
        test: {
          name: "mount",
          include: ["test/mount/**/*.test.ts", "test/cli/**/*.test.ts", "test/crash/**/*.test.ts"],
          pool: "forks",
          isolate: false,
          // These wait a quarter of their time. vitest's own choice is one fewer than there are CPUs. Emulated ones have no time to spare.
          maxWorkers: patience === 1 ? 3 : 1,
          testTimeout: 300_000 * patience,
          hookTimeout: 60_000 * patience,
          expect: { poll: { timeout: 30_000 * patience } },
        },
      },
      {
        test: {
          name: "slow",
          include: ["test/slow/**/*.test.ts"],
          pool: "forks",
          fileParallelism: false,
          testTimeout: 1_800_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "vm",
          include: ["test/vm/**/*.test.ts"],
          pool: "forks",
          fileParallelism: false,
          // A processor that is emulated takes ten times as long.
          testTimeout: 600_000,
          hookTimeout: 300_000,
          expect: { poll: { timeout: 60_000 } },
        },
      },
    ],
  },
})
