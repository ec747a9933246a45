/** Formats that are known by their first bytes and have no text for us; the reason names them. */

const MAGICS: readonly (readonly [at: number, bytes: string, what: string])[] = [
  [0, "\x89PNG\r\n", "a PNG image"],
  [0, "\xff\xd8\xff", "a JPEG image"],
  [0, "GIF87a", "a GIF image"],
  [0, "GIF89a", "a GIF image"],
  [0, "II*\0", "a TIFF image"],
  [0, "MM\0*", "a TIFF image"],
  [8, "WEBP", "a WebP image"],
  [0, "\x7fELF", "a program"],
  [0, "\0asm", "a WebAssembly module"],
  [0, "\xca\xfe\xba\xbe", "a program"],
  [0, "\xcf\xfa\xed\xfe", "a program"],
  [0, "\x1f\x8b", "gzip-compressed"],
  [0, "BZh", "bzip2-compressed"],
  [0, "\xfd7zXZ\0", "xz-compressed"],
  [0, "\x28\xb5\x2f\xfd", "zstd-compressed"],
  [0, "7z\xbc\xaf\x27\x1c", "a 7z archive"],
  [0, "Rar!\x1a\x07", "a RAR archive"],
  [257, "ustar", "a tar archive"],
  [0, "!<arch>\n", "a library of object files"],
  [0, "SQLite format 3\0", "an SQLite database"],
  [0, "OggS", "an Ogg file"],
  [0, "fLaC", "a FLAC file"],
  [0, "ID3", "an MP3 file"],
  [4, "ftyp", "an MP4 or HEIF file"],
  [0, "\x1aE\xdf\xa3", "a Matroska file"],
  [8, "AVI ", "an AVI file"],
  [8, "WAVE", "a WAV file"],
  [0, "wOFF", "a font"],
  [0, "wOF2", "a font"],
  [0, "\0\x01\0\0\0", "a font"],
  [0, "PAR1", "a Parquet file"],
  [0, "%!PS", "PostScript"],
  [0, "{\\rtf", "an RTF document"],
  [0, "age-encryption.org/", "encrypted by age"],
  [0, "-----BEGIN PGP MESSAGE", "encrypted by PGP"],
  [0, "-----BEGIN AGE ENCRYPTED", "encrypted by age"],
]

const magics = MAGICS.map(([at, bytes, what]) => ({ at, bytes: Buffer.from(bytes, "latin1"), what }))

/** What a file is that starts with `head`, when it is something known without text. */
export function knownBinary(head: Buffer): string | undefined {
  return magics.find(
    ({ at, bytes }) => head[at] === bytes[0] && head.subarray(at, at + bytes.length).equals(bytes),
  )?.what
}
