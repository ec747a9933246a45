/** What keeps users of this machine from making user namespaces, without which there is no sandbox, and what lets them. */
import { readFileSync } from "node:fs"

const BY_APPARMOR = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
/** Debian's and its kin's. */
const BY_DEBIAN = "/proc/sys/kernel/unprivileged_userns_clone"
const MOST = "/proc/sys/user/max_user_namespaces"

const PROFILE =
  "/etc/apparmor.d/bwrap: abi <abi/4.0>, include <tunables/global> profile bwrap /usr/bin/bwrap flags=(unconfined) { userns, }"

export interface Restriction {
  readonly reason: string
  readonly remedy: string
}

/** Undefined when nothing known does. `valueOf`: of a file below /proc/sys; undefined where this kernel has none. */
export function userNamespaceRestriction(
  valueOf: (path: string) => string | undefined = textOf,
): Restriction | undefined {
  if (valueOf(BY_APPARMOR) === "1")
    return {
      reason: "AppArmor restricts user namespaces (as Ubuntu 24.04 does)",
      remedy: `sysctl kernel.apparmor_restrict_unprivileged_userns=0, or a profile for bubblewrap alone (${PROFILE})`,
    }
  if (valueOf(BY_DEBIAN) === "0")
    return { reason: "users may make no namespaces", remedy: "sysctl kernel.unprivileged_userns_clone=1" }
  if (valueOf(MOST) === "0")
    return {
      reason: "this machine allows no user namespaces",
      remedy: "sysctl user.max_user_namespaces=10000",
    }
  return undefined
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1").trim()
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw cause
  }
}
