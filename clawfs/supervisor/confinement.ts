/** The list of system calls that a mount's daemon runs under, and what it starts. */
import { describe } from "../core/fault.ts"
import { confine } from "../seccomp/compile.ts"
import { daemonList } from "../seccomp/daemon-list.ts"
import { hasLibseccomp } from "../sys/libseccomp.ts"
import type { Unconfined } from "../../schema/sandbox.ts"

/** For good. Or why not: a daemon serves without it, and `clawfs sandbox status` says so. */
export function confineDaemon(): Unconfined | undefined {
  if (!hasLibseccomp) return { detail: "libseccomp is not installed", hint: "apt-get install libseccomp2" }
  if (process.getuid?.() !== 0)
    return {
      detail: "without root it would take setuid programs away, fusermount3 among them",
      hint: "mount as root",
    }
  try {
    confine(daemonList(), { mayGain: true })
    return undefined
  } catch (thrown) {
    return { detail: describe(thrown) }
  }
}
