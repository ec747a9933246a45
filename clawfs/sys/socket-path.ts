/**
 * Unix socket addresses end at 107 bytes (unix(7)), stores may lie deeper. A path through an open directory's entry in
 * /proc is always short.
 */
import { closeSync, constants, openSync } from "node:fs"

export const CONTROL_SOCKET = "control.sock"

export interface SocketPath extends Disposable {
  readonly path: string
}

/** `directory/name` as a short path, valid until disposed. Throws what open(2) says about the directory. */
export function shortSocketPath(directory: string, name: string): SocketPath {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  let isOpen = true
  return {
    path: `/proc/self/fd/${fd}/${name}`,
    [Symbol.dispose]: () => {
      if (isOpen) closeSync(fd)
      isOpen = false
    },
  }
}
