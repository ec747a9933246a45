/**
 * The library that shapes are written with. The build puts it into this one file (scripts/bundle.mjs): to load its ninety modules
 * takes Node longer than most commands take otherwise.
 */
export { z } from "zod"
