/** Which setting keeps sandboxes from being made, and the remedy. */
import { expect, test } from "vitest"
import { userNamespaceRestriction } from "../../../clawfs/runner/user-namespaces.ts"

const sys = "/proc/sys"
test.each([
  [
    { [`${sys}/kernel/apparmor_restrict_unprivileged_userns`]: "1" },
    "apparmor_restrict_unprivileged_userns=0",
  ],
  [{ [`${sys}/kernel/unprivileged_userns_clone`]: "0" }, "unprivileged_userns_clone=1"],
  [{ [`${sys}/user/max_user_namespaces`]: "0" }, "user.max_user_namespaces="],
])("%j", (settings: Readonly<Record<string, string>>, remedy) => {
  expect(userNamespaceRestriction((path) => settings[path])?.remedy).toContain(remedy)
})

test("settings that allow them, or that this kernel does not have, restrict nothing", () => {
  expect(userNamespaceRestriction(() => undefined)).toBeUndefined()
  const open = (path: string): string => (path.includes("apparmor") ? "0" : "1")
  expect(userNamespaceRestriction(open)).toBeUndefined()
})
