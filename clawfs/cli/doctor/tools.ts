/** What tools are run with. */
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { KEEPER, LAUNCHER, STARTER, findBwrap, isExecutable } from "../../runner/find-programs.ts"
import { bad, ok, type Check } from "./check.ts"

export function toolChecks(): Check[] {
  const bwrap = findBwrap()
  if (bwrap === undefined)
    return [
      bad("warn", "tools", {
        message: "bubblewrap is not installed: no tool can be run",
        hint: "apt-get install bubblewrap",
      }),
    ]
  if (![LAUNCHER, KEEPER, STARTER].every(isExecutable))
    return [
      bad("warn", "tools", {
        message: "the small programs that tools need were not built: no tool can be run",
        hint: "install gcc and libc6-dev, then: make build",
      }),
    ]
  return [bubblewrapCheck(bwrap), monitorCheck()]
}

/** --disable-userns came with it. */
const OLDEST_BWRAP = [0, 8] as const
const BWRAP_MS = 5000

function bubblewrapCheck(bwrap: string): Check {
  const { stdout } = spawnSync(bwrap, ["--version"], { encoding: "utf8", timeout: BWRAP_MS })
  const [, version, major, minor] = /^bubblewrap ((\d+)\.(\d+)\S*)/.exec(stdout) ?? []
  const oldest = OLDEST_BWRAP.join(".")
  const hint = `install bubblewrap ${oldest} or newer`
  if (version === undefined) {
    const message = `${bwrap} does not tell its version, so it does not work: no tool can be run`
    return bad("warn", "tools", { message, hint })
  }
  const facts = { bwrap, version }
  if (Number(major) > OLDEST_BWRAP[0] || Number(minor) >= OLDEST_BWRAP[1])
    return ok("tools", "tools can be run in sandboxes (clawfs sandbox status tells more)", facts)
  const message = `bubblewrap ${version} is too old: no tool can be run`
  return bad("warn", "tools", { message, hint, facts })
}

const LIBRARIES = ["/usr/lib", "/usr/lib64", "/lib", "/lib64"]
const LIBBPF = "libbpf.so.1"
/** The kernel's types, which the monitor's program is fitted to. */
const TYPES = "/sys/kernel/btf/vmlinux"

function monitorCheck(): Check {
  if (!isInstalled(LIBBPF))
    return bad("warn", "monitor", {
      message: "libbpf is not installed: what tools do is not watched",
      hint: "apt-get install libbpf1",
    })
  if (!existsSync(TYPES))
    return bad("warn", "monitor", {
      message: `this kernel does not tell its types (${TYPES}): what tools do is not watched`,
      hint: "a kernel with CONFIG_DEBUG_INFO_BTF, as distributions have",
    })
  return ok("monitor", "what tools do can be watched by root's daemon (clawfs sandbox status tells more)")
}

/** Also in a directory of the architecture's. */
function isInstalled(library: string): boolean {
  return LIBRARIES.filter((directory) => existsSync(directory)).some(
    (directory) =>
      existsSync(join(directory, library)) ||
      readdirSync(directory).some(
        (name) => name.endsWith("-linux-gnu") && existsSync(join(directory, name, library)),
      ),
  )
}
