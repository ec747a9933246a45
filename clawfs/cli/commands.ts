/** Every command, in the order of the overview. */
import type { Command } from "./command.ts"
import { backup } from "./commands/backup.ts"
import { clone } from "./commands/clone.ts"
import { completion } from "./commands/completion.ts"
import { compress } from "./commands/compress.ts"
import { doctor } from "./commands/doctor.ts"
import { encrypt } from "./commands/encrypt.ts"
import { fsck } from "./commands/fsck.ts"
import { gc } from "./commands/gc.ts"
import { index } from "./commands/index.ts"
import { init } from "./commands/init.ts"
import { installService } from "./commands/install-service.ts"
import { keys } from "./commands/keys.ts"
import { lock } from "./commands/lock.ts"
import { mcp } from "./commands/mcp.ts"
import { mount } from "./commands/mount.ts"
import { quota } from "./commands/quota.ts"
import { rekey } from "./commands/rekey.ts"
import { restore } from "./commands/restore.ts"
import { salvage } from "./commands/salvage.ts"
import { scrub } from "./commands/scrub.ts"
import { search } from "./commands/search.ts"
import { snapshot } from "./commands/snapshot.ts"
import { status } from "./commands/status.ts"
import { unlock } from "./commands/unlock.ts"
import { unmount } from "./commands/unmount.ts"

export const COMMANDS: readonly Command[] = [
  init,
  mount,
  unmount,
  status,
  search,
  index,
  snapshot,
  clone,
  quota,
  compress,
  encrypt,
  unlock,
  lock,
  rekey,
  keys,
  gc,
  fsck,
  scrub,
  backup,
  restore,
  salvage,
  mcp,
  doctor,
  installService,
  completion,
]
