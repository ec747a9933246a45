/** A place in the log as one number that grows with the log: segment number times 2^32, plus the position in it. */
const TWO_32 = 2 ** 32

export function logPosition(segment: number, position: number): number {
  return segment * TWO_32 + position
}

export function segmentOf(place: number): number {
  return Math.floor(place / TWO_32)
}

export function positionOf(place: number): number {
  return place % TWO_32
}
