/** fast-check with a fixed seed: a failure repeats itself. CLAWFS_TEST_SEED looks elsewhere, SLOW=1 looks longer. */
import fc from "fast-check"
import { seed } from "./random.ts"

fc.configureGlobal({ seed })

export { fc }
