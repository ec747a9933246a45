/** Makes the kernel forget what it can of the mount at a path: node build/test-programs/test/helpers/drop-caches.js PATH */
import { dropCaches, errnoName } from "./sys.ts"

const result = dropCaches(process.argv[2] ?? "")
if (result < 0) throw new Error(`reconfigure: ${errnoName(result)}`)
