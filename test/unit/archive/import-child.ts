/** An import in a process of its own, to be killed: `import-child.js ARCHIVE DIRECTORY`. */
import { existsSync, mkdirSync } from "node:fs"
import { imported } from "./support.ts"

const [archive = "", directory = ""] = process.argv.slice(2)
process.umask(0o077)
const isNew = !existsSync(directory)
if (isNew) mkdirSync(directory)
imported(archive, directory, { isNew })
