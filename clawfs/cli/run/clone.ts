/** The work of `clawfs clone`. */
import { call } from "../../api/client.ts"
import { Fault } from "../../core/fault.ts"
import type { CloneInvocation } from "../commands/clone.ts"
import { ExitCode } from "../exit-code.ts"
import { inside, insideNew } from "../inside.ts"

export async function runClone({ values, operands, terminal }: CloneInvocation): Promise<ExitCode> {
  const [from = "", to = ""] = operands
  const [source, target] = [inside(from), insideNew(to)]
  if (source.store !== target.store) throw new Fault("invalid", `${from} and ${to} lie on different mounts`)
  const made = (await call(source.store, "clone", { source: source.path, target: target.path })) as {
    inodes: number
    bytes: number
  }
  if (values.json === true) terminal.out(JSON.stringify(made, undefined, 2))
  return ExitCode.OK
}
