/** The whole conformance suite on an encrypted tree; test/mount/posix.test.ts takes the tables that have to do with it. */
process.env["POSIX_ENCRYPTED"] = "all"
await import("../mount/posix.test.ts")
