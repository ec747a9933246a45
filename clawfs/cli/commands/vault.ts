/** `clawfs vault`: secrets that tools use. */
import { command, type Invocation } from "../command.ts"
import { ExitCode } from "../exit-code.ts"

const SIGN_KINDS = ["ed25519", "ecdsa-p256", "hmac-sha256", "jwt", "aws-sigv4", "ssh", "sshsig"] as const

/** What secrets can be imported from. */
export const VAULT_SOURCES = ["bundle", "env", "json", "pass", "systemd-creds", "p1.4"] as const

const options = {
  vault: { type: "string", value: "DIR", completes: "directory", help: "the vault's directory" },
  json: { type: "boolean", help: "print JSON" },
  "passphrase-file": { type: "string", value: "FILE", help: "a file whose one line is the passphrase" },
  "passphrase-fd": { type: "string", value: "N", help: "read the passphrase from descriptor N" },
  "key-file": { type: "string", value: "FILE", help: "a key file" },
  "recovery-file": { type: "string", value: "FILE", help: "a file with the recovery words" },
  recovery: { type: "boolean", help: "ask for the recovery words" },
  "pin-fd": { type: "string", value: "N", help: "read the TPM's PIN from descriptor N" },
  "new-passphrase-file": { type: "string", value: "FILE", help: "protector add: a file with the passphrase" },
  "new-key-file": { type: "string", value: "FILE", help: "protector add: a key file" },
  kdf: {
    type: "string",
    value: "NAME",
    completes: ["argon2id", "pbkdf2"],
    help: "how a new passphrase becomes a key: argon2id (where libsodium is installed) or pbkdf2",
  },
  tpm: { type: "string", value: "TCTI", help: "init, protector add: how to reach the TPM" },
  "no-tpm": { type: "boolean", help: "init: without the TPM of this machine" },
  pcrs: { type: "string", value: "LIST", help: "registers that the key is sealed to; 7 unless given" },
  mount: {
    type: "string",
    value: "DIR",
    completes: "directory",
    help: "unlock: and mount the vault there",
  },
  idle: {
    type: "string",
    value: "TIME",
    help: "init: lock when unused so long, such as 30m or 12h; 0: never",
  },
  "from-fd": {
    type: "string",
    value: "N",
    help: "put, import: read the value, or the file, from descriptor N, not from stdin",
  },
  raw: { type: "boolean", help: "put: keep a newline at the end of the value" },
  new: { type: "boolean", help: "put: only if there is no such secret" },
  canary: { type: "boolean", help: "put: a decoy; who asks for it loses all grants" },
  description: { type: "string", value: "TEXT", help: "put, describe: what it is for" },
  tags: { type: "string", value: "LIST", help: "put, describe: words to find it by, with commas" },
  expires: {
    type: "string",
    value: "TIME",
    help: "put, describe: not given out after it; 90d or a date, 0: never",
  },
  "rotate-days": {
    type: "string",
    value: "N",
    help: "put, describe: a new value is due after N days; 0: never",
  },
  keep: {
    type: "string",
    value: "N",
    help: "put, describe: how many older versions are kept, 5 unless given; audit prune: for how long rows are",
  },
  version: { type: "string", value: "N", help: "get, destroy: this version" },
  "to-terminal": { type: "boolean", help: "get: show the value though it goes to a terminal" },
  key: { type: "string", value: "ID", help: "verify: only what this key has signed" },
  root: { type: "boolean", help: "rotate: a new root key" },
  due: { type: "boolean", help: "rotate: show which secrets need a new value" },
  since: { type: "string", value: "TIME", help: "audit: from then on; 7d or a date" },
  secret: { type: "string", value: "NAME", help: "audit: about this secret" },
  subject: { type: "string", value: "UID", help: "audit: what this user did" },
  known: { type: "string", value: "SEQ:MAC", help: "audit verify: an end that was noted before" },
  verb: {
    type: "string",
    value: "VERB",
    completes: ["exec", "inject", "sign", "reveal"],
    help: "grant: what it allows",
  },
  uid: { type: "string", value: "UID", help: "grant: to the processes of this user; all unless given" },
  caller: { type: "string", value: "PROGRAM", help: "grant: to processes that run this program" },
  cgroup: {
    type: "string",
    value: "PATH",
    help: "grant: to processes in this control group or below it, such as /system.slice/agent.service",
  },
  program: { type: "string", value: "PROGRAM", help: "grant exec: for running this program" },
  tool: { type: "string", value: "NAME", help: "grant exec: for this tool of ClawFS, and nothing else" },
  args: { type: "string", value: "WORDS", help: "grant exec: if its arguments begin with these" },
  as: {
    type: "string",
    value: "KIND",
    completes: SIGN_KINDS,
    help: "sign-with: what to make; grant sign: what may be made, with commas; keygen: ed25519 or ecdsa-p256",
  },
  scope: { type: "string", value: "LIST", help: "grant sign: for these REGION/SERVICE of AWS" },
  audience: { type: "string", value: "LIST", help: "grant sign: for tokens to these, with commas" },
  lifetime: { type: "string", value: "TIME", help: "grant sign: for tokens that end within this time" },
  algorithm: {
    type: "string",
    value: "NAME",
    completes: ["HS256", "ES256", "EdDSA"],
    help: "sign-with --as jwt: how",
  },
  "key-id": { type: "string", value: "TEXT", help: "sign-with --as jwt: names the key in the header" },
  encoding: {
    type: "string",
    value: "NAME",
    completes: ["base64", "base64url", "hex", "raw"],
    help: "sign-with: of the signature; base64 unless given",
  },
  socket: { type: "string", value: "PATH", help: "ssh-agent: where it listens" },
  endpoint: {
    type: "string",
    value: "FILE",
    help: "grant inject: a JSON file that says where to, and where the secret stands in requests",
  },
  port: {
    type: "string",
    value: "N",
    help: "proxy start: listen on this port of the loopback too; 0: one that is free",
  },
  uses: { type: "string", value: "N", help: "grant: so many times; without a limit unless given" },
  fd: {
    type: "string",
    value: "VAR=NAME",
    help: "exec: the value through a pipe, whose path VAR has; with commas",
  },
  env: { type: "string", value: "VAR=NAME", help: "exec: the value in the variable VAR; with commas" },
  "bundle-pass-file": {
    type: "string",
    value: "FILE",
    help: "export, import: a file with the bundle's passphrase",
  },
  "bundle-pass-fd": {
    type: "string",
    value: "N",
    help: "export, import: read the bundle's passphrase from descriptor N",
  },
  from: {
    type: "string",
    value: "FORMAT",
    completes: VAULT_SOURCES,
    help: "import: of what; bundle unless given",
  },
  preview: { type: "boolean", help: "import --from: show what would be stored, and store nothing" },
  replace: { type: "boolean", help: "import: also where the vault has another value" },
  skip: { type: "boolean", help: "import --from: not where the vault has another value" },
  prefix: { type: "string", value: "TEXT", help: "import --from: before each name" },
  whole: { type: "boolean", help: "import --from pass: all lines of each file, not only the first" },
  "master-key-fd": {
    type: "string",
    value: "N",
    help: "import --from p1.4: read the master key, 32 bytes, from descriptor N",
  },
  until: {
    type: "string",
    value: "TIME",
    help: "grant: until then; 12h or a date, 0: for ever; 24h unless given",
  },
} as const

export type VaultInvocation = Invocation<typeof options>

export const VAULT_ACTIONS = [
  ...["init", "status", "unlock", "lock", "put", "get", "describe", "list", "history", "rm", "destroy"],
  ...["rotate", "audit", "protector", "adopt", "grant", "grants", "revoke", "exec"],
  ...["keygen", "public-key", "sign-with", "ssh-agent", "proxy"],
  ...["mount", "unmount", "sign", "verify", "doctor"],
  ...["export", "import"],
] as const

export const vault = command({
  name: "vault",
  summary: "keep secrets that tools use and agents do not read",
  usage: "[options] ACTION [WHAT] [NUMBER] | [options] exec -- PROGRAM [ARGUMENTS]",
  description: `
A vault holds secrets: encrypted, each version under a key of its own, below a root key that is sealed
to this machine's TPM and can be given back by a passphrase, recovery words or a key file. While it is
unlocked, a process of its own has the root key, in the kernel's keyring; it ends when the vault is
locked. docs/VAULT.md has the whole picture.

  init               makes a vault; shows recovery words, once
  status             whether it is unlocked, what protects it
  unlock             by the TPM; without one, or with an option, by a passphrase or key
  lock               wipes the keys
  put NAME           stores what stdin says as the secret's next version; asks at a terminal
  get NAME           gives the value out, to who has a grant to reveal it, or shows the passphrase again;
                     at a terminal somebody says yes first
  describe NAME      changes what is known of a secret, not its value
  list               all secrets, without values
  history NAME       its versions
  rm NAME            takes it out of use; its versions are destroyed after 30 days
  destroy NAME       destroys the keys of its versions, for good, or of one with --version
  rotate NAME        put, for a secret that is there already
  rotate --root      a new root key: everything is wrapped anew
  rotate --due       which secrets need a new value
  audit              who used, changed or was refused what
  audit verify       checks that no row of it was changed or removed, and signatures of its end
  audit export       all rows as they are stored, one JSON object a line
  audit prune        removes rows that are older than --keep; asks for the passphrase
  mount [DIR]        shows the vault as files, on DIR or /clawfs/vault, until it is locked
  unmount            takes that mount away
  doctor             what protects this vault on this machine, and what does not; lockouts of a TPM
  sign KIND [DIR]    signs DIR, or /clawfs/KIND: specs, system or tools; asks for the passphrase
  verify KIND [DIR]  whether it is as it was signed; when specs or tools are not, no tool runs
  protector list     what can unlock the vault
  protector add      a passphrase or key file; protector add recovery: recovery words; protector add tpm
  protector remove N removes one, but never the last that is not a TPM
  adopt              takes a vault as it is whose TPM is gone, or counts more than the vault does,
                     such as after a backup was restored
  grant NAME         allows a use of a secret; asks for the passphrase
  grants             all grants
  revoke N           takes one back
  export FILE [NAME] writes secrets, or all of them, encrypted under a passphrase of the file's own;
                     asks for what opens the vault, too
  import FILE        stores what such a file has; other values that are there are kept
  import --from X    stores what other programs keep, all or nothing: env (a .env file), json, pass,
                     systemd-creds, p1.4 (.enc files of ClawOS); asks where another value is there
  exec -- PROGRAM    runs a program with secrets that grants allow it; its output passes a filter that
                     takes out values and their usual encodings. It sees the values, you do not
  proxy start        an egress proxy: it puts secrets into requests that grants allow (--verb inject),
                     which then go to their server by TLS; answers pass the filter
  proxy token        a token for clients that connect to its port; proxy stop: ends it
  keygen NAME        makes a key that is never outside of the vault; prints its public part
  public-key NAME    that of a key in the vault, for authorized_keys
  sign-with NAME     signs what stdin says with a key or password that stays in the vault (--as): bytes,
                     the claims of a JWT, or a request to AWS (docs/VAULT.md)
  ssh-agent NAMES    an SSH agent whose keys stay in the vault, names with commas; for a PROGRAM, or
                     until a signal

Without --vault, the vault is the one that CLAWFS_VAULT names, or /var/lib/clawfs-vault for root and
~/.local/share/clawfs-vault for others. Values, passphrases and PINs are never arguments.`,
  operands: [
    { name: "ACTION", completes: VAULT_ACTIONS },
    { name: "WHAT", completes: [], optional: true },
    { name: "NUMBER", completes: [], optional: true, rest: true },
  ],
  options,
  sections: [
    {
      title: "examples",
      text: `
clawfs vault init
clawfs vault unlock
clawfs vault put openai-api-key <key.txt
clawfs vault get openai-api-key --passphrase-file ~/.pass | wc -c
clawfs vault grant openai-api-key --verb reveal --uid 1001 --uses 1 --until 10m
clawfs vault grant openai-api-key --verb exec --program /usr/bin/curl --uid 1001
clawfs vault exec --env KEY=openai-api-key -- /usr/bin/curl https://example.org
clawfs vault grant openai-api-key --verb inject --endpoint openai.json --uid 1001 --until 30d
clawfs vault proxy start --port 8377
curl --unix-socket /var/lib/clawfs-vault/proxy.sock http://vault/openai/models
clawfs vault keygen deploy-key --as ed25519
clawfs vault grant deploy-key --verb sign --as ssh --uid 1001 --until 7d
clawfs vault ssh-agent deploy-key -- git push
clawfs vault sign-with issuer --as jwt --algorithm ES256 <claims.json
clawfs vault import --from env --preview .env
clawfs vault audit --since 7d
clawfs vault rotate --root`,
    },
  ],
  exits: [
    [ExitCode.OK, "done"],
    [
      ExitCode.NO,
      "status: locked; rotate --due: there are some; verify: not as signed; doctor: something is to be mended; export, import: some were left out or kept; exec gives the program's own status",
    ],
    [ExitCode.USAGE, "wrong usage"],
    [ExitCode.DATA, "a name or value that can't be; a record that is damaged; the last protector"],
    [ExitCode.MISSING, "no such vault, secret, version, protector or grant"],
    [ExitCode.UNAVAILABLE, "no TPM, or no tpm2-tss or libsodium on this machine"],
    [ExitCode.CANNOT_CREATE, "there is a vault, secret or TPM protector already"],
    [ExitCode.IO, "the disk is full or fails"],
    [ExitCode.BUSY, "another process has the vault; too many wrong passphrases; the TPM is locked out"],
    [
      ExitCode.DENIED,
      "locked; a wrong passphrase, key or PIN; no grant; expired; older than the TPM's counter",
    ],
  ],
  run: async (invocation) => (await import("../run/vault.ts")).runVault(invocation),
})
