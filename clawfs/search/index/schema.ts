/**
 * Tables of `index/index.db`. Everything in it is derived from the files, so there are no migrations: an index of an older
 * version is dropped and built anew, one of a newer version is left alone.
 */

/** In `PRAGMA user_version`. Any change of the tables, of tokenizing or of what a hash covers needs the next number. */
export const INDEX_VERSION = 2

/** In `PRAGMA application_id`: "CFSx". */
export const APPLICATION_ID = 0x43_46_53_78

export const SCHEMA = `
-- "epoch" and "applied": the change feed up to here is in the index. "embedder": number of the one that answers.
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;

-- One row an inode that the indexer has looked at, with text or without.
CREATE TABLE document (
  ino INTEGER PRIMARY KEY,
  hash BLOB NOT NULL,            -- of the content, as the indexer makes it
  state TEXT NOT NULL,           -- indexed, skipped, failed
  error TEXT NOT NULL,           -- why it was skipped or has failed
  extractor TEXT NOT NULL,
  kind TEXT NOT NULL,
  title TEXT NOT NULL,
  is_verbatim INTEGER NOT NULL,
  is_whole INTEGER NOT NULL,
  size INTEGER NOT NULL,         -- bytes of the file
  mtime INTEGER NOT NULL,        -- seconds since 1970
  mtime_nanos INTEGER NOT NULL,
  grams INTEGER NOT NULL         -- its number in the gram index, 0: none
);

-- All names of an inode, from the root, without the slash in front.
CREATE TABLE path (
  path BLOB PRIMARY KEY,
  ino INTEGER NOT NULL,
  extension TEXT NOT NULL        -- lower case, without the dot
) WITHOUT ROWID;
CREATE INDEX path_ino ON path (ino);

-- A chunk's id is never used again: a vector, a cache or an FTS row of a chunk that is gone can't be taken for another's.
CREATE TABLE chunk (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  ino INTEGER NOT NULL,
  n INTEGER NOT NULL,            -- place in the document, from 0
  start INTEGER NOT NULL,
  end INTEGER NOT NULL,
  first_line INTEGER NOT NULL,
  last_line INTEGER NOT NULL,
  heading TEXT NOT NULL,
  text BLOB NOT NULL,            -- see chunk-text.ts
  hash BLOB NOT NULL             -- of title, heading and text
);
CREATE INDEX chunk_ino ON chunk (ino, n);
CREATE VIRTUAL TABLE chunk_fts USING fts5(title, heading, body,
  content='', contentless_delete=1, tokenize='porter unicode61');
-- Row id: the inode. Apart from the chunks, so that moving a tree changes one short row a file.
-- FTS5 gathers words in memory up to this size before it writes them as a part of its index, and merges parts when there
-- are so many: with its defaults (1 MiB, 4) it writes and merges twice as much while many files are indexed.
INSERT INTO chunk_fts (chunk_fts, rank) VALUES ('hashsize', 16777216), ('automerge', 8);
CREATE VIRTUAL TABLE path_fts USING fts5(name, directory, title,
  content='', contentless_delete=1, tokenize='porter unicode61');

-- Vectors of embedder n are in the table vector_n, see embedders.ts.
CREATE TABLE embedder (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  dimensions INTEGER NOT NULL,
  model BLOB                     -- of an embedder that learns from the files
);
-- The saved HNSW graph of an embedder's vectors, a cache.
CREATE TABLE snap (
  embedder INTEGER PRIMARY KEY,
  file TEXT NOT NULL,
  sha256 BLOB NOT NULL,
  dimensions INTEGER NOT NULL,
  max_sequence INTEGER NOT NULL, -- the last row of vector_n that is in it
  entries INTEGER NOT NULL,      -- rows of vector_n it was made of, also those that are gone since
  ef INTEGER NOT NULL,           -- expansion_search that gave the recall; 0: none was good enough, it must not be used
  recall REAL NOT NULL           -- recall@10 against exact, measured
);

-- Gram index for --grep, see grams.ts.
CREATE TABLE gram_pending (number INTEGER PRIMARY KEY AUTOINCREMENT, grams BLOB NOT NULL);
CREATE TABLE gram_segment (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tier INTEGER NOT NULL,
  documents INTEGER NOT NULL,    -- how many are in its lists
  first INTEGER NOT NULL,        -- the lowest and highest of their numbers
  last INTEGER NOT NULL
);
CREATE TABLE gram_page (
  segment INTEGER NOT NULL,
  page INTEGER NOT NULL,
  postings BLOB NOT NULL,
  PRIMARY KEY (segment, page)
) WITHOUT ROWID;
CREATE INDEX document_grams ON document (grams) WHERE grams > 0;
`
