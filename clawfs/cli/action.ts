/** The first operand of commands that do several things. */
import { UsageError } from "./command.ts"
import { closest } from "./suggest.ts"

/** For one that is none of `actions`. */
export function unknownAction(command: string, action: string, actions: readonly string[]): UsageError {
  const similar = closest(action, actions)
  return new UsageError(
    `${command}: there is no action "${action}"`,
    `${similar === undefined ? "" : `did you mean ${similar}? `}it is one of ${actions.join(", ")}`,
  )
}
