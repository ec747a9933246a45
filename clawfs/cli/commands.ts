/**
 * Every command, in the order of the overview. Its module is loaded when it is asked for: loading all of them takes half as long
 * again as Node's own start.
 */
import type { Command } from "./command.ts"

const LOADERS: Readonly<Record<string, () => Promise<Command>>> = {
  init: async () => (await import("./commands/init.ts")).init,
  mount: async () => (await import("./commands/mount.ts")).mount,
  unmount: async () => (await import("./commands/unmount.ts")).unmount,
  status: async () => (await import("./commands/status.ts")).status,
  search: async () => (await import("./commands/search.ts")).search,
  index: async () => (await import("./commands/index.ts")).index,
  snapshot: async () => (await import("./commands/snapshot.ts")).snapshot,
  clone: async () => (await import("./commands/clone.ts")).clone,
  quota: async () => (await import("./commands/quota.ts")).quota,
  compress: async () => (await import("./commands/compress.ts")).compress,
  guard: async () => (await import("./commands/guard.ts")).guard,
  encrypt: async () => (await import("./commands/encrypt.ts")).encrypt,
  unlock: async () => (await import("./commands/unlock.ts")).unlock,
  lock: async () => (await import("./commands/lock.ts")).lock,
  rekey: async () => (await import("./commands/rekey.ts")).rekey,
  keys: async () => (await import("./commands/keys.ts")).keys,
  vault: async () => (await import("./commands/vault.ts")).vault,
  migrate: async () => (await import("./commands/migrate.ts")).migrate,
  gc: async () => (await import("./commands/gc.ts")).gc,
  fsck: async () => (await import("./commands/fsck.ts")).fsck,
  scrub: async () => (await import("./commands/scrub.ts")).scrub,
  backup: async () => (await import("./commands/backup.ts")).backup,
  restore: async () => (await import("./commands/restore.ts")).restore,
  salvage: async () => (await import("./commands/salvage.ts")).salvage,
  export: async () => (await import("./commands/export.ts")).exportCommand,
  import: async () => (await import("./commands/import.ts")).importCommand,
  tool: async () => (await import("./commands/tool.ts")).tool,
  sandbox: async () => (await import("./commands/sandbox.ts")).sandbox,
  events: async () => (await import("./commands/events.ts")).events,
  seccomp: async () => (await import("./commands/seccomp.ts")).seccomp,
  identity: async () => (await import("./commands/identity.ts")).identity,
  mcp: async () => (await import("./commands/mcp.ts")).mcp,
  doctor: async () => (await import("./commands/doctor.ts")).doctor,
  "install-service": async () => (await import("./commands/install-service.ts")).installService,
  completion: async () => (await import("./commands/completion.ts")).completion,
}

export const COMMAND_NAMES: readonly string[] = Object.keys(LOADERS)

/** Undefined: there is none of that name. */
export async function commandNamed(name: string): Promise<Command | undefined> {
  return Object.hasOwn(LOADERS, name) ? await LOADERS[name]?.() : undefined
}

export function allCommands(): Promise<Command[]> {
  return Promise.all(Object.values(LOADERS).map((load) => load()))
}
