/** Messages of D-Bus, and bytes that are none. */
import fc from "fast-check"
import { expect, test } from "vitest"
import { Fault } from "../../../clawfs/core/fault.ts"
import { busPath } from "../../../clawfs/sys/dbus.ts"
import { callBytes, messageLength, readMessage } from "../../../clawfs/sys/dbus-wire.ts"

const CALL = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
  member: "GetNameOwner",
  args: ["org.freedesktop.login1"],
}

test("what is written is read again", () => {
  const bytes = callBytes(7, CALL)
  expect(messageLength(bytes)).toBe(bytes.length)
  expect(readMessage(bytes)).toEqual({
    ...{ type: 1, sender: "", interface: CALL.interface, member: CALL.member, replyTo: 0, fds: 0 },
    first: "org.freedesktop.login1",
  })
})

test("other bytes are refused, or say nothing: no exception but a fault, whatever comes", () => {
  const bytes = callBytes(1, CALL)
  fc.assert(
    fc.property(
      fc.nat({ max: bytes.length - 1 }),
      fc.nat({ max: 255 }),
      fc.nat({ max: bytes.length }),
      (at, value, cut) => {
        const changed = Buffer.from(bytes)
        changed[at] = value
        try {
          const length = messageLength(changed)
          if (length !== undefined) readMessage(changed.subarray(0, Math.min(length, cut)))
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(Fault)
        }
      },
    ),
    { numRuns: 500 },
  )
  const huge = Buffer.from(bytes)
  huge.writeUInt32LE(0x7fff_ffff, 4)
  expect(() => messageLength(huge)).toThrow("no message of D-Bus")
})

test("the path of the bus", () => {
  expect(busPath(undefined)).toBe("/run/dbus/system_bus_socket")
  expect(busPath("unix:abstract=/x;unix:path=/run/a,guid=12")).toBe("/run/a")
  expect(busPath("unix:guid=12,path=/b")).toBe("/b")
})
