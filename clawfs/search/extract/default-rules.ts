/**
 * What is not indexed unless somebody says otherwise (docs/SEARCH.md): git-ignore rules about single names, a directory's with
 * a slash at its end.
 */

/**
 * Made by programs, not written by anybody: versions' histories, installed packages, compiler output, caches, lock files,
 * minified code. `user.clawfs.index` = "on" of a directory above lifts them, and so does a `!` rule.
 */
export const JUNK = `
.git/
.hg/
.svn/
.jj/
node_modules/
bower_components/
__pycache__/
.venv/
.tox/
.nox/
.mypy_cache/
.pytest_cache/
.ruff_cache/
.gradle/
.terraform/
.cache/
.Trash*/
*.o
*.obj
*.a
*.so
*.pyc
*.class
*.min.js
*.min.css
*.js.map
*.css.map
*.swp
*~
.DS_Store
Thumbs.db
package-lock.json
npm-shrinkwrap.json
yarn.lock
pnpm-lock.yaml
bun.lock
Cargo.lock
poetry.lock
uv.lock
Pipfile.lock
Gemfile.lock
composer.lock
flake.lock
go.sum
`

/** Keys and passwords by their usual names. Only a `!` rule that names them lifts these. */
export const SECRETS = `
.env
.env.*
!.env.example
!.env.sample
!.env.template
.ssh/
.gnupg/
.password-store/
id_rsa
id_dsa
id_ecdsa
id_ecdsa_sk
id_ed25519
id_ed25519_sk
*.pem
*.key
*.p12
*.pfx
*.jks
*.keystore
*.kdbx
*.ppk
*.gpg
*.age
.netrc
_netrc
.pgpass
.pypirc
.git-credentials
.htpasswd
.aws/
.kube/
`
