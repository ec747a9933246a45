/** How `vault.db` came to be what it is: step by step, forward only (docs/FORMAT.md). */

/** "CLVA": tells a vault's database from any other. */
export const VAULT_APPLICATION_ID = 0x434c_5641

interface Step {
  readonly name: string
  readonly sql: string
}

const INITIAL = `
-- One row.
CREATE TABLE vault (
  id            INTEGER PRIMARY KEY CHECK (id = 1),
  uuid          BLOB NOT NULL,    -- 16 random bytes
  created       INTEGER NOT NULL, -- milliseconds since 1970, as all times here
  epoch         INTEGER NOT NULL, -- number of the root key, from 1
  rotated       INTEGER NOT NULL, -- when that began
  check_value   BLOB NOT NULL,    -- 32 bytes that tell the right root key from any other
  audit_key     BLOB NOT NULL,    -- the key of the audit chain, wrapped by the root key
  tcti          TEXT NOT NULL,    -- how to reach the TPM; empty: none
  counter_index INTEGER NOT NULL, -- NV index of the TPM's counter; 0: none
  counter_name  BLOB NOT NULL,    -- its name in the TPM; empty: none
  counter_base  TEXT NOT NULL,    -- decimal: base + epoch is the value that the counter must have
  idle_seconds  INTEGER NOT NULL  -- the vault locks itself when it is not used so long; 0: never
) STRICT;

-- What can give the root key back.
CREATE TABLE protector (
  number  INTEGER PRIMARY KEY, -- from 1
  kind    INTEGER NOT NULL,    -- 1: TPM, 2: passphrase, 3: recovery words, 4: key file
  created INTEGER NOT NULL,
  fixed   BLOB NOT NULL,       -- what stays as it is
  sealed  BLOB NOT NULL,       -- the root key, protected
  mac     BLOB NOT NULL        -- HMAC-SHA256 over the row under a key of the root key
) STRICT;

CREATE TABLE secret (
  id       BLOB PRIMARY KEY,     -- 16 random bytes
  name_tag BLOB NOT NULL UNIQUE, -- HMAC-SHA256 of the name under a key of the root key
  sealed   BLOB NOT NULL         -- name, description, tags and times as JSON, encrypted
) STRICT, WITHOUT ROWID;

CREATE TABLE version (
  secret  BLOB NOT NULL,
  version INTEGER NOT NULL, -- from 1
  created INTEGER NOT NULL,
  key     BLOB NOT NULL,    -- the version's own key, wrapped by the root key; empty: destroyed
  body    BLOB NOT NULL,    -- the value, encrypted under it; empty: destroyed
  PRIMARY KEY (secret, version)
) STRICT, WITHOUT ROWID;

-- Who may use which secret for what.
CREATE TABLE "grant" (
  id     INTEGER PRIMARY KEY AUTOINCREMENT, -- from 1, never used again
  sealed BLOB NOT NULL                      -- the grant as JSON, encrypted
) STRICT;

-- Every use, refusal and change, each row bound to the one before it.
CREATE TABLE audit (
  seq     INTEGER PRIMARY KEY, -- from 1, without gaps
  time    INTEGER NOT NULL,
  event   TEXT NOT NULL,       -- what was to be done
  outcome TEXT NOT NULL,       -- 'done', or why not
  subject TEXT NOT NULL,       -- who, as JSON
  secret  BLOB NOT NULL,       -- its id, or empty
  version INTEGER NOT NULL,    -- 0: none
  detail  TEXT NOT NULL,       -- JSON
  mac     BLOB NOT NULL        -- HMAC-SHA256 over the row and the MAC before it
) STRICT;

CREATE TABLE audit_head (
  id  INTEGER PRIMARY KEY CHECK (id = 1),
  seq INTEGER NOT NULL, -- the newest row; 0: none
  cut INTEGER NOT NULL, -- rows up to this one were exported and removed
  cut_mac BLOB NOT NULL, -- the MAC of that row
  mac BLOB NOT NULL     -- HMAC-SHA256 over this row and the newest row's MAC
) STRICT;

-- Attempts to unlock that failed since the vault was open: there is no key then to write the audit with.
CREATE TABLE attempt (
  time    INTEGER NOT NULL,
  subject TEXT NOT NULL,
  reason  TEXT NOT NULL
) STRICT;
`

/** Filled at the next unlocking: there is no key before. */
const ROW_SUMS = `
-- Sums over the rows of all other tables but attempt, encrypted (vault/row-sums.ts); empty: not yet made.
ALTER TABLE audit_head ADD COLUMN sums BLOB NOT NULL DEFAULT x'';
`

const END_NOTE = `
-- Where the TPM has a note of the audit's end: NV index (u32, big-endian) and its name; empty: nowhere.
ALTER TABLE vault ADD COLUMN end_note BLOB NOT NULL DEFAULT x'';
`

export const VAULT_STEPS: readonly Step[] = [
  { name: "initial", sql: INITIAL },
  { name: "row sums", sql: ROW_SUMS },
  { name: "end note", sql: END_NOTE },
]

export const VAULT_SCHEMA_VERSION = VAULT_STEPS.length
