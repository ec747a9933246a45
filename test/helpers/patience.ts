/**
 * How many times longer than on a machine a test waits before it gives up: in the virtual machine (test/vm) the processor may be
 * emulated.
 */
export const patience = process.env["CLAWFS_VM"] === "1" ? 10 : 1
