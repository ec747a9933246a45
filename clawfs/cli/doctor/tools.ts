/** What tools are run with. */
import { KEEPER, LAUNCHER, findBwrap, isExecutable } from "../../runner/find-programs.ts"
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
  if (![LAUNCHER, KEEPER].every(isExecutable))
    return [
      bad("warn", "tools", {
        message: "the small programs that tools need were not built: no tool can be run",
        hint: "install gcc and libc6-dev, then: make build",
      }),
    ]
  return [ok("tools", "tools can be run in sandboxes (clawfs sandbox status tells more)", { bwrap })]
}
